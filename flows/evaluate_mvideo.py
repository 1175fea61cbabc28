"""Deployment "evaluate-mvideo": videos to scores, tables and a report (the paper's section 4)."""

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from mvideo.flows._evaluation import score_parts
from mvideo.flows._naming import run_name
from mvideo.flows._notices import MAX_FAILED_SHOWN, publish
from mvideo.flows._root import in_root
from mvideo.tasks.evaluate import check_items, collect_scores, evaluation_report, score
from mvideo_core.base.forms import ProfileName, Values
from mvideo_core.base.options import Over, merge
from mvideo_core.evaluation.export import rows_of, to_markdown
from mvideo_core.evaluation.request import EvaluateRequest
from mvideo_core.evaluation.result import LoadedResult, read_result
from mvideo_core.evaluation.suite import PROFILES, SuiteOptions, load_suite
from mvideo_core.evaluation.validate import Validation


@flow(name="evaluate-mvideo", flow_run_name=run_name, persist_result=False)
@in_root
def evaluate_mvideo(
    manifests: list[str],
    out: str,
    suite: Annotated[str, ProfileName(PROFILES)] = "mini",
    overrides: Annotated[dict[str, Any] | None, Values(SuiteOptions)] = None,
    options: Annotated[dict[str, Any] | None, Over(SuiteOptions)] = None,
    gpus: int = 1,
    part: str = "",
    report: bool = True,
    overwrite: bool = False,
) -> str:
    """Score videos. If killed at any moment, a retry continues at the first missing score.

    Args:
        manifests: .jsonl files, or folders of videos named after their prompts, as PATH or NAME=PATH.
        out: folder for scores, result.json, exports and report.
        suite: profile of metrics: mini, paper, or the path of a YAML file.
        overrides: values that override the suite, such as {"intervals": {"level": 0.9}}.
        options: values that override both, as filled in on the form; empty values come from the suite.
        gpus: parts scored in parallel, one by this run and the others as runs of this deployment on the queue gpu.
        part: "INDEX/COUNT": score this part and stop; used by the runs that `gpus` starts.
        report: build the page of videos, curves and worst cases.
        overwrite: replace a result of different videos or metrics in `out`.

    Returns:
        Path of result.json; of the folder if `part` is given.
    """
    request = EvaluateRequest(
        manifests=tuple(manifests),
        out=str(Path(out).absolute()),
        suite=load_suite(suite, merge(overrides or {}, options or {})),
        overwrite=overwrite,
    )
    if part:
        score(request, part)
        return request.out
    _problems(check_items(request))
    n_parts = score_parts(request, gpus)
    where = collect_scores(request, n_parts)
    page = evaluation_report(request.out) if report else ""
    _pages(read_result(request.out), page)
    return where


def _problems(found: Validation) -> None:
    """A table of validation problems; nothing if there are none."""
    table = [one.model_dump() for one in found.problems[:MAX_FAILED_SHOWN]]
    if table:
        note = f"{found.n_errors} errors, {len(found.problems) - found.n_errors} warnings; {len(table)} shown."
        publish(create_table_artifact, table=table, key="evaluation-problems", description=note)


def _pages(loaded: LoadedResult, page: str) -> None:
    """Results as a page and a table, and the location of all files."""
    text = f"{to_markdown(loaded.result)}\n\nResults: `{loaded.folder}`" + (f"\n\nReport: `{page}`" if page else "")
    publish(create_markdown_artifact, markdown=text, key="evaluation-results", description="What was measured.")
    publish(create_table_artifact, table=rows_of(loaded.result), key="evaluation", description="Means and intervals.")
    if page:
        publish(
            create_link_artifact, link=f"file://{page}", link_text="report", key="evaluation-report", description=page
        )
