"""Evaluation tasks: check the items, score a part of them, combine the parts, build the report."""

import logging
from collections.abc import Callable
from pathlib import Path

from mvideo.tasks._bar import CountBar
from mvideo.tasks._decorators import gpu_task, io_task
from mvideo_core.evaluation.export import write_exports
from mvideo_core.evaluation.plan import Part, parse_part
from mvideo_core.evaluation.request import EvaluateRequest
from mvideo_core.evaluation.result import collect, find_waiting_parts, read_result
from mvideo_core.evaluation.run import score_part
from mvideo_core.evaluation.validate import Validation, validate

log = logging.getLogger(__name__)

LOG_EVERY = 10


@io_task
def check_items(request: EvaluateRequest) -> Validation:
    """Find problems with the items before a GPU is used.

    Raises:
        ConfigError: a manifest, metric or option that is wrong.
    """
    return validate(request.plan())


@gpu_task
def score(request: EvaluateRequest, part: str) -> dict[str, str]:
    """Score one part, "INDEX/COUNT"; scores on disk are kept. Returns: unavailable metrics and why.

    Raises:
        ConfigError, StoreError: as in `mvideo_core.evaluation.run`.
    """
    piece = parse_part(part)
    return score_part(request.plan(), piece, request.out, _progress(piece), request.overwrite).unavailable


@io_task
def parts_to_score(request: EvaluateRequest, n_parts: int) -> list[int]:
    """Parts that are not scored yet, or whose files have changed since."""
    return find_waiting_parts(request.plan(), n_parts, request.out)


@io_task
def collect_scores(request: EvaluateRequest, n_parts: int) -> str:
    """Aggregate the parts and write result.json and its exports. Returns: path of result.json.

    Raises:
        ConfigError: a part is not finished.
    """
    collect(request.plan(), n_parts, request.out)
    write_exports(read_result(request.out), Path(request.out))
    return str(Path(request.out) / "result.json")


@io_task
def evaluation_report(out: str) -> str:
    """Build the page of a result. Returns: its path."""
    from mvideo_core.pages.evaluation_report import build_report

    return str(build_report(Path(out), Path(out) / "report"))


def _progress(part: Part) -> Callable[[int, int, str], None]:
    """A progress bar over the videos of a part."""
    bar = CountBar("evaluate" if part.count == 1 else f"evaluate-{part.index}-of-{part.count}", "videos")

    def show(done: int, total: int, text: str) -> None:
        if done % LOG_EVERY == 0 or done == total:
            log.info("scored %d of %d videos; last: %s", done, total, text)
            bar(done, total)

    return show
