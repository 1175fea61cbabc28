"""The task of each stage, made from its declaration: it finishes some parts."""

from typing import Any

from prefect import Task

from mvideo.tasks._decorators import gpu_task, io_task
from mvideo.tasks._parts import Parts, PartsDone, finish_parts
from mvideo_core.base.options import Options
from mvideo_core.engine import STAGES
from mvideo_core.engine.stage import Stage


def task_of(stage: Stage) -> Task[Any, PartsDone]:
    """A task with the stage's name, for the resource that it needs."""

    def finish(parts: Parts, options: Options) -> PartsDone:
        return finish_parts(stage.name, parts, options)

    finish.__name__, finish.__doc__ = stage.name, stage.title
    return (gpu_task if stage.resource == "gpu" else io_task)(finish)


TASKS = {stage.name: task_of(stage) for stage in STAGES.in_order()}
