"""Score every video, make the paper's tables from the scores, and compute the paired differences it reports.

root/scores/       result of `mvideo eval run` over all jobs
root/tables/       table-2.md ... table-5.md (also .tex, .csv, .json), comparisons.md, comparisons.json
"""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from mvideo_core.base.disk import write_whole
from mvideo_core.evaluation.aggregate import GroupKey
from mvideo_core.evaluation.compare import Difference, Side, compare, correct_for_family
from mvideo_core.evaluation.differences import difference_cells, explain_reading
from mvideo_core.evaluation.layout import markdown_table
from mvideo_core.evaluation.plan import EvalPlan, make_plan
from mvideo_core.evaluation.result import EvalResult, LoadedResult, read_result, share_items
from mvideo_core.evaluation.run import Progress, run_suite
from mvideo_core.evaluation.suite import load_suite
from mvideo_core.evaluation.tables import Table, make_table, write_table
from mvideo_core.paper.options import PaperOptions
from mvideo_core.paper.videos import VideoJob, jobs, table_jobs, write_job_manifest


class Question(NamedTuple):
    """A comparison: its title and its two sides (second minus first)."""

    title: str
    first: VideoJob
    second: VideoJob


class Answer(NamedTuple):
    """A comparison with its paired differences."""

    question: Question
    differences: list[Difference]


def score_plan(options: PaperOptions, root: Path) -> EvalPlan:
    """Suite and items of all jobs."""
    manifests = [str(write_job_manifest(job, options, root)) for job in jobs(options)]
    return make_plan(load_suite(options.suite), manifests)


def score(options: PaperOptions, root: Path, progress: Progress | None = None) -> EvalResult:
    """Score every video on this machine; existing scores are kept."""
    return run_suite(score_plan(options, root), root / "scores", progress, overwrite=True)


class Findings(NamedTuple):
    """The results: tables and comparisons."""

    tables: list[Table]
    answers: list[Answer]


def write_findings(options: PaperOptions, root: Path) -> Findings:
    """Tables 2 to 5 and the comparisons from the scores available; also writes them to files.

    Raises:
        ConfigError: nothing has been scored yet.
    """
    loaded = read_result(root / "scores")
    tables = [make_table(number, [("scores", _part(number, loaded, options))]) for number in options.tables]
    for table in tables:
        write_table(table, root / "tables")
    found = Findings(tables, answers(options, loaded))
    _write_answers(found.answers, root / "tables")
    return found


def answers(options: PaperOptions, loaded: LoadedResult) -> list[Answer]:
    """Paired differences: loss (table 4), length (table 5), with and without masks (table 3).

    Metrics without pairs (mask mIoU of videos without masks) are left out. P-values are corrected over all of them.
    """
    asked = questions(options)
    family = len(asked) * len(loaded.result.metrics)
    sides = [(Side(loaded, asking.first.key), Side(loaded, asking.second.key)) for asking in asked]
    found = [[one for one in compare(*pair, family=family) if one.n_pairs] for pair in sides]
    rest = iter(correct_for_family([one for members in found for one in members]))
    return [Answer(one, list(islice(rest, len(members)))) for one, members in zip(asked, found, strict=True)]


def questions(options: PaperOptions) -> list[Question]:
    """The comparisons that belong to the requested tables."""
    found: list[Question] = []
    if "4" in options.tables:
        without, *others = table_jobs("4", options)
        found += [Question(f"consistency loss: weight {one.alpha:g} vs. none", without, one) for one in others]
    lengths = sorted(table_jobs("5", options), key=lambda job: job.n_clips) if "5" in options.tables else []
    if len(lengths) > 1:
        title = f"length: {lengths[-1].n_clips} clips vs. {lengths[0].n_clips}"
        found.append(Question(title, lengths[0], lengths[-1]))
    if "3" in options.tables:
        for name in options.test_sets:
            guided, *others, base = [job for job in table_jobs("3", options) if job.test_set == name]
            found.append(Question(f"masks, {name}: with masks vs. the base model", base, guided))
            found += [
                Question(f"masks, {name}: loss {guided.alpha:g} vs. {one.alpha:g}", one, guided) for one in others
            ]
    return found


def answers_markdown(found: Sequence[Answer]) -> str:
    """Every comparison with its differences, intervals and verdicts."""
    parts = []
    for one in found:
        table = markdown_table(*difference_cells(one.differences)) if one.differences else "no pairs"
        parts.append(f"### {one.question.title}\n\n{table}")
    return "\n\n".join([*parts, explain_reading([one for answer in found for one in answer.differences])]) + "\n"


def _write_answers(found: Sequence[Answer], out: Path) -> None:
    plain = [
        {
            "question": one.question.title,
            "differences": [d.model_dump(mode="json") | {"verdict": d.verdict} for d in one.differences],
        }
        for one in found
    ]
    write_whole(out / "comparisons.json", json.dumps(plain, indent=1) + "\n")
    write_whole(out / "comparisons.md", answers_markdown(found))


def _part(number: str, loaded: LoadedResult, options: PaperOptions) -> EvalResult:
    """The part of a result that one table shows: its jobs in order; mask metrics only in table 3."""
    order: dict[GroupKey, int] = {job.key: place for place, job in enumerate(table_jobs(number, options))}
    (result,) = share_items([loaded], order)
    groups = sorted((group for group in result.groups if group.key in order), key=lambda group: order[group.key])
    metrics = {
        name: facts for name, facts in result.metrics.items() if (facts.metric == "mask_miou") == (number == "3")
    }
    return result.model_copy(update={"groups": tuple(groups), "metrics": metrics})
