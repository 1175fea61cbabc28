"""Runs a flow's steps over parts: a part enters its next stage as soon as it has finished the previous one.

Tasks run in threads of this process, on workers (`_workers.py`), or on Ray. The flow code is the same for all.

Prefect's `map` and `submit(wait_for=...)` alone are not enough. Measured with 3.9.1: of 5,000 mapped task runs the
server recorded 3,462, since its event queue drops bursts; and a task run whose process is killed stays Running forever.
Here a flow starts no more tasks than there are slots, late stages first, so that some parts finish early. With
workers, each job (a stage over some parts) is a run of the stage's deployment, so a retried flow finds that run again.
"""

import logging
import queue
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefect.client.schemas.objects import RunInput, TaskRunResult
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from mvideo.flows._notices import failure_table
from mvideo.flows._progress import StageBoard
from mvideo.flows._ray_hosts import ray_packages, require_reachable
from mvideo.flows._steps import Engine, EngineOptions, Outcome, Resource, Step, slice_evenly
from mvideo.flows._workers import WorkerEngine
from mvideo.tasks.stages import TASKS, Parts, PartsDone
from mvideo_core.base.errors import ConfigError, ModelError, MVideoError
from mvideo_core.base.options import Options
from mvideo_core.base.stopping import pool_that_stops
from mvideo_core.engine import STAGES
from mvideo_core.engine.checks import check_stage
from mvideo_core.engine.run import StageSummary, check_failed, summarize
from mvideo_core.store.workspace import Workspace

log = logging.getLogger(__name__)

POLL_S = 2.0
FINAL_ERRORS = (ConfigError, ModelError)
"""Errors that every other part of the stage would hit too; the stage is not started on another part."""


@dataclass(frozen=True, slots=True)
class StepJob:
    """A group of parts of one step, submitted together."""

    step: Step
    indices: tuple[int, ...]


def step(name: str, options: Options) -> Step:
    """One stage as a step of a flow."""
    stage = STAGES.get(name)
    return Step(name, TASKS[name], options, stage.reads, stage.resource)


class Scheduler:
    """The state of one run: what is waiting, running and done, and what went wrong.

    Jobs of the latest stage start first, so that a few parts finish early and a kill leaves little work unfinished. No
    more jobs run at a time than the engine has slots, so the server never sees a burst.

    Args:
        steps: in order; a step waits for the steps it reads from, if they are in the list.
        indices: of the parts to finish.
        max_failed_frac: a stage with more failed items than this stops the run.
    """

    def __init__(
        self, engine: Engine, steps: Sequence[Step], workspace: str, indices: Sequence[int], max_failed_frac: float
    ):
        self.engine, self.steps, self.workspace, self.indices = engine, steps, workspace, tuple(indices)
        self.max_failed_frac = max_failed_frac
        self.boards = {step.name: StageBoard(step.name, workspace, len(self.indices)) for step in steps}
        self.waiting = self._jobs()
        self.running: dict[object, StepJob] = {}
        self.finished: dict[tuple[str, int], object] = {}
        self.reused: Counter[str] = Counter()
        self.summaries: dict[str, StageSummary] = {}
        self.errors: list[MVideoError | BaseException] = []
        self.broken: set[str] = set()

    def run(self) -> list[StageSummary]:
        """Finish every step for every part; waits for everything it submitted.

        Returns:
            One summary per step, in the order of the steps.

        Raises:
            MVideoError (or what the task raised): the first error, after all other parts have progressed as far as they
            can.
        """
        while self._start_ready():
            for outcome in self.engine.collect(POLL_S):
                self._note(outcome)
            for board in self.boards.values():
                board.publish()
        for board in self.boards.values():
            board.publish(last=True)
        if self.errors:
            left = sorted({job.step.name for job in self.waiting})
            log.error("%d jobs failed; not finished: %s", len(self.errors), ", ".join(left) or "nothing else")
            raise self.errors[0]
        return [self.summaries[step.name] for step in self.steps]

    def _jobs(self) -> list[StepJob]:
        jobs = []
        for step in reversed(self.steps):
            size = self.engine.slice_parts(step.resource, len(self.indices))
            jobs += [StepJob(step, self.indices[at : at + size]) for at in range(0, len(self.indices), size)]
        return jobs

    def _start_ready(self) -> bool:
        """Submit what can start now; False if nothing is running, in which case nothing else can ever start."""
        free = dict(self.engine.slots)
        for job in self.running.values():
            free[job.step.resource] -= 1
        for job in list(self.waiting):
            if free[job.step.resource] > 0 and job.step.name not in self.broken and self._ready(job):
                free[job.step.resource] -= 1
                self._submit(job)
        return bool(self.running)

    def _ready(self, job: StepJob) -> bool:
        return all(need in self.finished for need in self._needs(job))

    def _needs(self, job: StepJob) -> list[tuple[str, int]]:
        """What a job waits for: its upstream steps in this run, for the same parts."""
        return [(name, index) for name in job.step.reads if name in self.boards for index in job.indices]

    def _submit(self, job: StepJob) -> None:
        self.waiting.remove(job)
        self.boards[job.step.name].begin()
        after = {self.finished[need] for need in self._needs(job)}
        submitted = self.engine.submit(job.step, Parts(workspace=self.workspace, indices=job.indices), after)
        self.running[submitted] = job

    def _note(self, outcome: Outcome) -> None:
        job = self.running.pop(outcome.job)
        name = job.step.name
        if outcome.error is not None:
            log.error("%s parts %s: %s", name, job.indices, outcome.error)
            self.errors.append(outcome.error)
            if isinstance(outcome.error, FINAL_ERRORS):
                self.broken.add(name)
            return
        self.finished.update({(name, index): outcome.job for index in job.indices})
        self.reused[name] += outcome.reused
        self.boards[name].mark_finished(job.indices)
        if all((name, index) in self.finished for index in self.indices):
            self._close(job.step)

    def _close(self, step: Step) -> None:
        """After all parts of a step: summarize, show failed items, stop the run if there are too many of them."""
        workspace = Workspace(self.workspace)
        found = [workspace.current(step.name, index) for index in self.indices]
        markers = [marker for marker in found if marker is not None]
        seconds = time.monotonic() - self.boards[step.name].started
        summary = summarize(step.name, markers, self.reused[step.name], seconds)
        warnings = check_stage(workspace, STAGES.get(step.name), step.options)
        summary = summary.model_copy(update={"warnings": warnings})
        self.summaries[step.name] = summary
        log.info(
            "%s: %s in %.1f s, %s", step.name, summary.counts, summary.seconds, summary.reasons or "nothing dropped"
        )
        failure_table(workspace, step.name, markers)
        try:
            check_failed(summary, self.max_failed_frac)
        except MVideoError as error:
            self.errors.append(error)
            self.broken.update(self.boards)


@contextmanager
def open_engine(options: EngineOptions, jobs: int) -> Iterator[Engine]:
    """A started engine; everything it starts ends with the block.

    Args:
        jobs: CPU parts at a time unless `options.cpu_slots` says otherwise.

    Raises:
        ConfigError: engine "ray" without its packages.
    """
    slots: dict[Resource, int] = {"cpu": options.cpu_slots or jobs, "gpu": options.gpu_slots}
    if options.kind == "workers":
        yield WorkerEngine(options, slots)
    elif options.kind == "ray":
        with ray_packages().RayTaskRunner(address=options.ray_address or None) as cluster:
            require_reachable(PREFECT_API_URL.value() or "", ray_packages().addresses())
            yield RayEngine(cluster, slots, options)
    else:
        slots["gpu"] = 1
        runner: ThreadPoolTaskRunner[Any]
        with pool_that_stops(ThreadPoolTaskRunner(max_workers=sum(slots.values()))) as runner:
            yield TaskRunnerEngine(runner, slots)


class TaskRunnerEngine:
    """Tasks on a running task runner, part by part.

    Args:
        runner: already entered.
        slots: jobs running at a time, by resource.
    """

    def __init__(self, runner: TaskRunner[Any], slots: dict[Resource, int]):
        self.runner = runner
        self.slots = slots
        self._ended: queue.Queue[PrefectFuture[Any]] = queue.Queue()

    def slice_parts(self, resource: Resource, n_parts: int) -> int:
        """One part per task: parts are the unit of retries."""
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

    def collect(self, timeout_s: float) -> list[Outcome]:
        """The error of every finished future."""
        ended: list[PrefectFuture[Any]] = []
        deadline = time.monotonic() + timeout_s
        while not ended or not self._ended.empty():
            try:
                ended.append(self._ended.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                break
        return [_outcome(future) for future in ended]


class RayEngine(TaskRunnerEngine):
    """Tasks on Ray with CPU and GPU requests.

    Ray ends a worker process after each GPU task, so that a reused process cannot hold the wrong device; weights are
    then loaded again. So one GPU task takes several parts and loads the weights once for all of them.
    """

    def __init__(self, runner: TaskRunner[Any], slots: dict[Resource, int], engine: EngineOptions):
        super().__init__(runner, slots)
        self.engine = engine

    def slice_parts(self, resource: Resource, n_parts: int) -> int:
        """GPU tasks take slices, CPU tasks single parts."""
        return 1 if resource == "cpu" else slice_evenly(n_parts, self.slots["gpu"], self.engine.parts_per_run)

    def start(
        self, step: Step, parameters: dict[str, Any], dependencies: dict[str, set[RunInput]]
    ) -> PrefectFuture[Any]:
        """Submit one task to Ray with its CPUs and GPUs."""
        claims: dict[str, float] = {"num_cpus": self.engine.ray_cpus_per_task}
        if step.resource == "gpu":
            claims["num_gpus"] = self.engine.ray_gpus_per_task
        with ray_packages().remote_options(**claims):
            return super().start(step, parameters, dependencies)


def _outcome(future: PrefectFuture[Any]) -> Outcome:
    future.wait()
    result = future.result(raise_on_failure=False)
    if isinstance(result, PartsDone):
        return Outcome(future, None, result.reused)
    return Outcome(future, result if isinstance(result, BaseException) else TaskVanished(f"no result: {result!r}"))


class TaskVanished(RuntimeError):
    """A task ended without a result and without an error: a bug of ours or of the engine."""
