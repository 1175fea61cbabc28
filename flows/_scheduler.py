"""Moving parts through stages: a part enters its next stage as soon as it has finished the previous one."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mvideo.flows._engines import Engine, Outcome, Step
from mvideo.flows._notices import failure_table
from mvideo.flows._progress import StageBoard
from mvideo.tasks.stages import TASKS, Parts
from mvideo_core.base.errors import ConfigError, ModelError, MVideoError
from mvideo_core.base.options import Options
from mvideo_core.engine import STAGES
from mvideo_core.engine.checks import check_stage
from mvideo_core.engine.run import StageSummary, check_failed, summarize
from mvideo_core.store.workspace import Workspace

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
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
            for outcome in self.engine.collect(LOOK_EVERY_S):
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
