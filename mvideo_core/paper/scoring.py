"""Scores of every video, the paper's tables from them, and the paired differences that answer its questions.

root/scores/       result of `mvideo eval run` over all jobs
root/tables/       table-2.md ... table-5.md (also .tex, .csv, .json), comparisons.md, comparisons.json
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mvideo_core.evaluation.aggregate import GroupKey
from mvideo_core.evaluation.compare import Difference, Side, compare
from mvideo_core.evaluation.export import differences_markdown
from mvideo_core.evaluation.plan import EvalPlan, make_plan
from mvideo_core.evaluation.result import EvalResult, LoadedResult, read_result
from mvideo_core.evaluation.run import Progress, run_suite
from mvideo_core.evaluation.scores import write_whole
from mvideo_core.evaluation.suite import load_suite
from mvideo_core.evaluation.tables import Table, make_table, table_markdown, write_table
from mvideo_core.paper.options import PaperOptions
from mvideo_core.paper.sets import COMPLEX_MOTION, MASK_TO_VIDEO, PROMPTS
from mvideo_core.paper.videos import BASE, Job, jobs, system_of, write_job_manifest

TABLES = ("2", "3", "4", "5")


class Question(NamedTuple):
    """A comparison: what it asks, and its two sides (second minus first)."""

    title: str
    first: Job
    second: Job


class Answer(NamedTuple):
    """A question with its paired differences."""

    question: Question
    differences: list[Difference]


def score_plan(options: PaperOptions, root: Path) -> EvalPlan:
    """Suite and items of every job."""
    manifests = [str(write_job_manifest(job, options, root)) for job in jobs(options)]
    return make_plan(load_suite(options.suite), manifests)


def score(options: PaperOptions, root: Path, progress: Progress | None = None) -> EvalResult:
    """Score every video here; those scored already keep their scores."""
    return run_suite(score_plan(options, root), root / "scores", progress)


def table_jobs(number: str, options: PaperOptions) -> list[Job]:
    """The jobs that a table of the paper shows, in its order."""
    main, base = system_of(options.alpha), Job(PROMPTS, BASE, None, 1)
    if number == "2":
        return [base, Job(PROMPTS, main, options.alpha, options.table2_clips)]
    if number == "3":
        return [job for job in jobs(options) if job.test_set in (MASK_TO_VIDEO, COMPLEX_MOTION)]
    if number == "4":
        return [Job(PROMPTS, system_of(a), a, options.table4_clips) for a in sorted(options.alphas)]
    return [Job(PROMPTS, main, options.alpha, n) for n in options.lengths_clips]


def write_tables(options: PaperOptions, root: Path) -> list[Table]:
    """Tables 2 to 5 and the comparisons, from the scores that are there.

    Raises:
        ConfigError: nothing was scored yet.
    """
    loaded = read_result(root / "scores")
    tables = [make_table(number, [("scores", _only(loaded.result, table_jobs(number, options)))]) for number in TABLES]
    for table in tables:
        write_table(table, root / "tables")
    _write_answers(answers(options, loaded), root / "tables")
    return tables


def answers(options: PaperOptions, loaded: LoadedResult) -> list[Answer]:
    """Paired differences: the loss (table 4), the lengths (table 5), masks against none (table 3)."""
    return [Answer(one, compare(_side(loaded, one.first), _side(loaded, one.second))) for one in questions(options)]


def questions(options: PaperOptions) -> list[Question]:
    """What the experiments are to tell."""
    main, clips = system_of(options.alpha), options.table4_clips
    without = Job(PROMPTS, system_of(0.0), 0.0, clips)
    lengths = [Job(PROMPTS, main, options.alpha, n) for n in sorted(options.lengths_clips)]
    asked = [
        Question(f"consistency loss: weight {a:g} against none", without, Job(PROMPTS, system_of(a), a, clips))
        for a in sorted(options.alphas)
        if a
    ]
    if len(lengths) > 1:
        asked.append(
            Question(f"length: {lengths[-1].n_clips} clips against {lengths[0].n_clips}", lengths[0], lengths[-1])
        )
    for name in (MASK_TO_VIDEO, COMPLEX_MOTION):
        n = options.tests.sample_clips
        asked.append(
            Question(
                f"masks, {name}: guided against the base", Job(name, BASE, None, n), Job(name, main, options.alpha, n)
            )
        )
    return asked


def answers_markdown(found: Sequence[Answer]) -> str:
    """Every comparison with its differences and intervals."""
    parts = [f"### {one.question.title}\n\n{differences_markdown(one.differences)}" for one in found]
    return "\n\n".join(parts) + "\n"


def tables_markdown(tables: Sequence[Table]) -> str:
    """All tables, one after the other."""
    return "\n".join(table_markdown(table) for table in tables)


def _write_answers(found: Sequence[Answer], out: Path) -> None:
    plain = [
        {"question": one.question.title, "differences": [d.model_dump(mode="json") for d in one.differences]}
        for one in found
    ]
    write_whole(out / "comparisons.json", json.dumps(plain, indent=1) + "\n")
    write_whole(out / "comparisons.md", answers_markdown(found))


def _only(result: EvalResult, wanted: Sequence[Job]) -> EvalResult:
    order: dict[GroupKey, int] = {_key(job): place for place, job in enumerate(wanted)}
    kept = sorted((group for group in result.groups if group.key in order), key=lambda group: order[group.key])
    return result.model_copy(update={"groups": tuple(kept)})


def _side(loaded: LoadedResult, job: Job) -> Side:
    return Side(loaded, _key(job))


def _key(job: Job) -> GroupKey:
    return GroupKey(job.test_set, job.system, f"{job.n_clips} clips")
