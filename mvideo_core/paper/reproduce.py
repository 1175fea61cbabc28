"""Every step in order on this machine, without a server; each goes on where it stopped. The flow has the same steps."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import write_whole
from mvideo_core.base.options import canonical_json
from mvideo_core.paper.data import build_datasets, build_test_sets, encode_training_set
from mvideo_core.paper.figures import make_figures
from mvideo_core.paper.options import PaperOptions
from mvideo_core.paper.page import write_page
from mvideo_core.paper.scoring import score, write_findings
from mvideo_core.paper.training import training_options
from mvideo_core.paper.videos import jobs, make_videos
from mvideo_core.processes.parallel_map import side_by_side
from mvideo_core.training.launch import launch

log = logging.getLogger(__name__)

Told = Callable[[str], None]
"""Called with a line about the step that begins or goes on."""


def reproduce(options: PaperOptions, root: Path, tell: Told = log.info) -> Path:
    """The whole: data, trainings, videos, scores, tables, figures, page.

    Returns:
        The page.

    Raises:
        ConfigError, ModelError, StoreError, TrainError: as the steps say.
    """
    keep_options(options, root)
    tell("1/7 datasets: videos -> cuts -> boxes -> masks -> captions -> shards")
    build_datasets(options, root)
    tell("2/7 test sets, and latents of the training set")
    build_test_sets(options, root)
    latents = encode_training_set(options, root)
    for alpha in options.alphas:
        tell(f"3/7 training, consistency loss x {alpha:g}")
        launch(training_options(options, root, alpha, latents), _log_steps(tell))
    todo = jobs(options)
    tell(f"4/7 videos: {len(todo)} jobs")
    made = side_by_side(partial(make_videos, options=options, root=root), todo, options.processes)
    for job, count in zip(todo, made, strict=True):
        tell(f"    {count} videos of {job.name}")
    tell("5/7 scores")
    score(options, root, lambda done, total, text: tell(f"    {done} of {total}: {text}"))
    tell("6/7 figures 4 to 9")
    make_figures(options, root)
    tell("7/7 tables and page")
    return finish(options, root)


def keep_options(options: PaperOptions, root: Path) -> None:
    """Write down what this run is; other options may follow, every step knows what of it is stale."""
    root.mkdir(parents=True, exist_ok=True)
    write_whole(root / "options.json", canonical_json(options) + "\n")


def finish(options: PaperOptions, root: Path) -> Path:
    """Tables, comparisons and the page from what is there.

    Raises:
        ConfigError: nothing was scored yet.
    """
    return write_page(options, root, write_findings(options, root))


def _log_steps(tell: Told) -> Callable[[dict[str, Any]], None]:
    def log(line: dict[str, Any]) -> None:
        if "train/loss" in line and line["step"] % 50 == 0:
            tell(f"    step {line['step']} of {line['steps']}: loss {line['train/loss']:.4f}")

    return log
