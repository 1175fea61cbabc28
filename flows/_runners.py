"""Lanes over a Prefect task runner: futures come back through a queue, so that nothing polls and nothing is dropped."""

import queue
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from prefect.client.schemas.objects import RunInput, TaskRunResult
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from mvideo.flows._engine import Outcome, Resource, Step
from mvideo.tasks._parts import Parts, PartsDone
from mvideo_core.base.stopping import pool_that_stops


class RunnerLanes:
    """Tasks on a started task runner, part by part.

    Args:
        runner: already entered.
        slots: pieces of work under way at once, by resource.
    """

    def __init__(self, runner: TaskRunner[Any], slots: dict[Resource, int]):
        self.runner = runner
        self.slots = slots
        self._ended: queue.Queue[PrefectFuture[Any]] = queue.Queue()

    def slice_parts(self, resource: Resource, n_parts: int) -> int:
        """One part a task: a part is the unit of a retry."""
        return 1

    def submit(self, step: Step, parts: Parts, after: Collection[object]) -> object:
        """The future of one task run."""
        upstream: set[RunInput] = {TaskRunResult(id=f.task_run_id) for f in after if isinstance(f, PrefectFuture)}
        future = self.start(step, {"parts": parts, "options": step.options}, {"parts": upstream})
        future.add_done_callback(self._ended.put)
        return future

    def start(
        self, step: Step, parameters: dict[str, Any], dependencies: dict[str, set[RunInput]]
    ) -> PrefectFuture[Any]:
        """Hand one task to the runner."""
        return self.runner.submit(step.task, parameters, dependencies=dependencies)

    def finished(self, timeout_s: float) -> list[Outcome]:
        """Every ended future, waited for and asked for its error."""
        ended: list[PrefectFuture[Any]] = []
        deadline = time.monotonic() + timeout_s
        while not ended or not self._ended.empty():
            try:
                ended.append(self._ended.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                break
        return [_outcome(future) for future in ended]


@contextmanager
def thread_lanes(slots: dict[Resource, int]) -> Iterator[RunnerLanes]:
    """Tasks in threads of this process; a stop ends them at their next frame."""
    runner: ThreadPoolTaskRunner[Any]
    with pool_that_stops(ThreadPoolTaskRunner(max_workers=sum(slots.values()))) as runner:
        yield RunnerLanes(runner, slots)


def _outcome(future: PrefectFuture[Any]) -> Outcome:
    future.wait()
    result = future.result(raise_on_failure=False)
    if isinstance(result, PartsDone):
        return Outcome(future, None, result.reused)
    return Outcome(future, result if isinstance(result, BaseException) else TaskVanished(f"no result: {result!r}"))


class TaskVanished(RuntimeError):
    """A task ended without a result and without an error: a bug of ours or of the engine."""
