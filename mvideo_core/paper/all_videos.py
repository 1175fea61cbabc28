"""Every video of a run: those of the tables, then those of the figures; on a CPU, several at a time."""

import os
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mvideo_core.base.devices import default_device
from mvideo_core.generation.loading import load_pipeline
from mvideo_core.paper.figures import FigureVideo, make_figure_video, plan_figures
from mvideo_core.paper.options import PaperOptions
from mvideo_core.paper.sets import read_cases
from mvideo_core.paper.videos import VideoJob, adapter_of, jobs, make_case
from mvideo_core.processes.parallel_map import side_by_side

if TYPE_CHECKING:
    from mvideo_core.generation.loading import Loaded

FIGURES = "figures"
GroupProgress = Callable[[str, int, int], None]
"""Called with the name of a job or FIGURES, the number of its finished videos, and their total."""

_kept: dict[tuple[str, str], "Loaded"] = {}
"""The pipeline of the last video of this process: consecutive videos of a system load it once."""


class _Case(NamedTuple):
    """A video of a job: the number of its case."""

    job: VideoJob
    number: int


def make_all_videos(options: PaperOptions, root: Path, progress: GroupProgress | None = None) -> None:
    """Generate the videos of all jobs and figures; finished ones are kept, as in `make_videos`.

    Raises:
        ModelError, StoreError, ConfigError: from loading and generation.
    """
    todo: list[_Case | FigureVideo] = [
        _Case(job, number) for job in jobs(options) for number in range(len(read_cases(root, job.test_set)))
    ]
    todo += plan_figures(options, root)
    report = progress or (lambda *_: None)
    work = partial(_make, options=options, root=root)
    try:
        with closing(side_by_side(work, todo, count_processes(options))) as made:
            for name, members in groupby(todo, _group):
                total = len(list(members))
                report(name, 0, total)
                for done, _ in enumerate(islice(made, total), 1):
                    report(name, done, total)
    finally:
        _kept.clear()


def count_processes(options: PaperOptions) -> int:
    """How many videos are generated at a time: one on a GPU; on a CPU as the options say, one per core at most."""
    return min(options.processes, os.cpu_count() or 1) if default_device() == "cpu" else 1


def _group(one: _Case | FigureVideo) -> str:
    return FIGURES if isinstance(one, FigureVideo) else one.job.name


def _make(one: _Case | FigureVideo, options: PaperOptions, root: Path) -> None:
    """One video, in this process."""
    if isinstance(one, FigureVideo):
        make_figure_video(one, options, root, _load(options, adapter_of(root, options.alpha)))
    else:
        case = read_cases(root, one.job.test_set)[one.number]
        make_case(case, one.job, options, root, _load(options, adapter_of(root, one.job.alpha)))


def _load(options: PaperOptions, adapter: str) -> "Loaded":
    key = (options.model_dump_json(include={"base", "sampling"}), adapter)
    if key not in _kept:
        _kept.clear()  # first: two models may not fit
        _kept[key] = load_pipeline(options.base, adapter, options.sampling)
    return _kept[key]
