"""The task of each stage, made from its declaration: it finishes a group of parts.

Its inputs and outputs are references to parts, never their contents.
"""

from collections import Counter
from functools import partial
from typing import Any

from prefect import Task
from prefect.context import TaskRunContext

from mvideo.tasks import _items
from mvideo.tasks._decorators import gpu_task, io_task
from mvideo_core.base.live_status import on_status
from mvideo_core.base.options import Options
from mvideo_core.base.records import Record
from mvideo_core.engine import STAGES
from mvideo_core.engine.part import run_part
from mvideo_core.engine.stage import Stage
from mvideo_core.store.workspace import Workspace


class Parts(Record):
    """A group of parts of a workspace's current plan.

    Attributes:
        workspace: local path or fsspec URL.
        indices: of the parts, ascending.
    """

    workspace: str
    indices: tuple[int, ...]

    @property
    def label(self) -> str:
        """ "part 3", "parts 0-15", or "parts 0-15 (4)" if some in between are not included."""
        first, last, n = self.indices[0], self.indices[-1], len(self.indices)
        if n == 1:
            return f"part {first}"
        return f"parts {first}-{last}" + ("" if n == last - first + 1 else f" ({n})")


class PartsDone(Record):
    """Finished parts of one stage: how many were finished before, and the sums of their counts."""

    stage: str
    indices: tuple[int, ...]
    reused: int
    counts: dict[str, int]


def task_of(stage: Stage) -> Task[Any, PartsDone]:
    """A task with the stage's name, for the resource that the stage needs."""

    def finish(parts: Parts, options: Options) -> PartsDone:
        return finish_parts(stage.name, parts, options)

    finish.__name__, finish.__doc__ = stage.name, stage.title
    return (gpu_task if stage.resource == "gpu" else io_task)(finish)


def finish_parts(stage_name: str, parts: Parts, options: Options) -> PartsDone:
    """Finish parts of a stage one after another. Parts that the store already holds are not run again.

    Raises:
        ConfigError: an upstream stage has not finished one of these parts.
        ModelError: weights or an extra are missing.
        StoreError: another process owns one of these parts, or the disk fails.
    """
    workspace, stage = Workspace(parts.workspace), STAGES.get(stage_name)
    results = []
    for index in parts.indices:
        place = (parts.workspace, stage_name, index)
        with on_status(partial(_items.set_status, *place)):
            results.append(run_part(workspace, stage, index, options, partial(_items.note, *place)))
    counts: Counter[str] = Counter()
    for index, result in zip(parts.indices, results, strict=True):
        n_items = result.marker.counts["items"]
        _items.note(parts.workspace, stage_name, index, n_items, n_items)
        counts.update(result.marker.counts)
    reused = sum(result.reused for result in results)
    if reused == len(results):
        _show_reused()
    return PartsDone(stage=stage_name, indices=parts.indices, reused=reused, counts=dict(counts))


def _show_reused() -> None:
    """Rename the run in the UI if the store already had everything; the final state has the new name."""
    context = TaskRunContext.get()
    if context is not None:
        context.task_run.name += " (reused)"


TASKS = {stage.name: task_of(stage) for stage in STAGES.in_order()}
