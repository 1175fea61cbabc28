"""What orchestration costs: start-up, overhead of a stage run and of a task, and a simulated fleet of GPU workers.

Measured on a real server with SQLite and one worker: seconds from `prefect deployment run` to the first item of
`build-mask-dataset`, wall seconds of a stage run (engine workers) and of a task (engine threads) that find their part
finished. One worker process executes one run at a time.

Simulated: the scheduler of the flows with a clock of its own, which jumps from event to event. Workers are lost and
come back, whole hosts too; durations vary. `busy` is the share of GPU time, from the first to the last job of a GPU
stage, in which GPUs work on items: not loading, waiting, dead or repeating an item.

`python -m benchmarks.orchestration fleet` only simulates; `... start` only measures.
"""

import heapq
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect.states import Cancelling

from mvideo.deployments.stack import Stack
from mvideo.flows._engine import Scheduler
from mvideo.flows._steps import Engine, Outcome, Resource, Step, slice_evenly
from mvideo.tasks.stages import Parts
from mvideo_core.base.options import Options
from mvideo_core.curation.pipeline import PART_STAGES
from mvideo_core.engine import STAGES
from mvideo_core.engine.plan import parts_for
from tests.e2e.harness import ENVIRONMENT as ONE_WORKER
from tests.e2e.tiny import draw_videos

WORKER_POLL_S, ENGINE_POLL_S = 2.0, 3.0
"""Defaults of `Environment.poll_s` and `EngineOptions.poll_s`."""


@dataclass(frozen=True)
class Fleet:
    """A simulated cluster and its work. Seconds per clip are those of one slot.

    Attributes:
        spread: standard deviation of a job's duration over its mean.
        lost_after_h: mean hours until a host is lost, with all its GPUs; it is back after `repair_s`.
        crash_after_h: mean hours of work until a process dies alone; its worker notices at once.
        silent_s: until the run of a lost host is marked Crashed (`multi-node`: 300 s).
        start_s: until a stage run has started and loaded its weights.
        item_s: work on an item that is repeated when its process dies.
    """

    gpus: int = 64
    gpus_per_host: int = 8
    cpu_slots: int = 128
    clips: int = 400_000
    part_size: int = 64
    max_parts: int = 1024
    parts_per_run: int = 1
    clip_s: tuple[tuple[str, float], ...] = (
        ("ingest", 0.05), ("cut", 1.0), ("detect", 0.3), ("segment", 3.0), ("caption", 0.1),
    )  # fmt: skip
    spread: float = 0.15
    lost_after_h: float = 24.0
    crash_after_h: float = 24.0
    repair_s: float = 1800.0
    silent_s: float = 300.0
    start_s: float = 30.0
    item_s: float = 3.0
    seed: int = 0


class _NoBoard:
    """Instead of a progress bar on a server."""

    started = 0.0

    def begin(self) -> None: ...

    def mark_finished(self, indices: Collection[int]) -> None: ...

    def publish(self, last: bool = False) -> None: ...


class SimulatedScheduler(Scheduler):
    """The flows' scheduler without a server and a workspace."""

    def __init__(self, engine: Engine, steps: Sequence[Step], n_parts: int):
        super().__init__(engine, steps, "", range(n_parts), 0.0)
        self.boards = dict.fromkeys(self.boards, _NoBoard())  # type: ignore[arg-type]

    def _close(self, step: Step) -> None:
        self.summaries[step.name] = None  # type: ignore[assignment]


@dataclass(eq=False)
class _Job:
    """A stage run: work left, seconds, and the work that is lost with its process."""

    resource: Resource
    left_s: float
    epoch: int = 0
    started_s: float = 0.0


class VirtualEngine:
    """Stage runs on simulated workers; `collect` moves the clock to the next event."""

    def __init__(self, fleet: Fleet, n_parts: int):
        self.fleet, self.n_parts = fleet, n_parts
        self.slots: dict[Resource, int] = {"cpu": fleet.cpu_slots, "gpu": fleet.gpus}
        self.now_s = self.busy_s = self.first_s = self.last_s = 0.0
        self.losses = self.crashes = self.most_running = 0
        self._draw = random.Random(fleet.seed)
        self._seconds = dict(fleet.clip_s)
        self._events: list[tuple[float, int, str, Any]] = []
        self._order = itertools.count()
        self._queued: list[_Job] = []
        self._on: dict[int, _Job | None] = dict.fromkeys(range(fleet.gpus))
        self._dead: set[int] = set()
        self._running: set[int] = set()
        for host in range(fleet.gpus // fleet.gpus_per_host if fleet.lost_after_h else 0):
            self._at(self._draw.expovariate(1 / (fleet.lost_after_h * 3600)), "lose", host)

    def slice_parts(self, resource: Resource, n_parts: int) -> int:
        """As engine workers."""
        return slice_evenly(n_parts, self.slots[resource], self.fleet.parts_per_run)

    def submit(self, step: Step, parts: Parts, after: Collection[object]) -> object:
        """A job with a random duration around its mean."""
        mean_s = self._seconds[step.name] * self.fleet.clips * len(parts.indices) / self.n_parts
        job = _Job(step.resource, mean_s * max(0.2, self._draw.gauss(1, self.fleet.spread)))
        self._running.add(id(job))
        self.most_running = max(self.most_running, len(self._running))
        if step.resource == "cpu":
            self._at(self.now_s + WORKER_POLL_S + self.fleet.start_s + job.left_s, "end", (job, None, 0))
        else:
            self.first_s = self.first_s or self.now_s
            self._queued.append(job)
            self._assign()
        return job

    def collect(self, timeout_s: float) -> list[Outcome]:
        """The jobs that ended by the next poll after the next end of a job."""
        ended: list[Outcome] = []
        poll_s = 0.0
        while self._events and (not ended or self._events[0][0] <= poll_s):
            self.now_s, _, kind, subject = heapq.heappop(self._events)
            if (job := getattr(self, f"_{kind}")(subject)) is not None:
                self._running.discard(id(job))
                ended.append(Outcome(job, None))
                poll_s = poll_s or self.now_s + self._draw.uniform(0, ENGINE_POLL_S)
        self.now_s = max(self.now_s, poll_s)
        return ended

    def _at(self, when_s: float, kind: str, subject: Any) -> None:
        heapq.heappush(self._events, (when_s, next(self._order), kind, subject))

    def _assign(self) -> None:
        for gpu, job in self._on.items():
            if self._queued and job is None and gpu not in self._dead:
                self._start(self._queued.pop(0), gpu)

    def _start(self, job: _Job, gpu: int) -> None:
        self._on[gpu] = job
        job.epoch += 1
        job.started_s = self.now_s + self._draw.uniform(0, WORKER_POLL_S) + self.fleet.start_s
        dies_s = self._draw.expovariate(1 / (self.fleet.crash_after_h * 3600)) if self.fleet.crash_after_h else 1e18
        kind = "end" if dies_s > job.left_s else "crash"
        self._at(job.started_s + min(job.left_s, dies_s), kind, (job, gpu, job.epoch))

    def _end(self, subject: tuple[_Job, int | None, int]) -> _Job | None:
        job, gpu, epoch = subject
        if gpu is None:
            return job
        if epoch != job.epoch:
            return None
        self.busy_s += job.left_s
        self.last_s = self.now_s
        self._on[gpu] = None
        self._assign()
        return job

    def _crash(self, subject: tuple[_Job, int, int]) -> None:
        """Its worker reports that the process died; the next poll requeues the job."""
        job, gpu, epoch = subject
        if epoch == job.epoch:
            self.crashes += 1
            self._interrupt(gpu, ENGINE_POLL_S)
            self._assign()

    def _lose(self, host: int) -> None:
        if not self._running:
            return
        self.losses += 1
        size = self.fleet.gpus_per_host
        for gpu in range(host * size, (host + 1) * size):
            self._dead.add(gpu)
            self._interrupt(gpu, self.fleet.silent_s)
        self._at(self.now_s + self.fleet.repair_s, "repair", host)

    def _interrupt(self, gpu: int, noticed_after_s: float) -> None:
        job, self._on[gpu] = self._on[gpu], None
        if job is not None:
            done_s = max(0.0, self.now_s - job.started_s - self.fleet.item_s)
            self.busy_s += done_s
            job.left_s -= done_s
            job.epoch += 1
            self._at(self.now_s + noticed_after_s, "requeue", job)

    def _requeue(self, job: _Job) -> None:
        self._queued.append(job)
        self._assign()

    def _repair(self, host: int) -> None:
        size = self.fleet.gpus_per_host
        self._dead.difference_update(range(host * size, (host + 1) * size))
        self._at(self.now_s + self._draw.expovariate(1 / (self.fleet.lost_after_h * 3600)), "lose", host)
        self._assign()


def simulate(fleet: Fleet) -> dict[str, Any]:
    """One run of the data pipeline: busy share, hours, faults, CPU seconds of the scheduler."""
    n_parts = parts_for(fleet.clips, fleet.part_size, fleet.max_parts)
    stages = [STAGES.get(name) for name in PART_STAGES if name in dict(fleet.clip_s)]
    steps = [Step(stage.name, None, Options(), stage.reads, stage.resource) for stage in stages]  # type: ignore[arg-type]
    engine = VirtualEngine(fleet, n_parts)
    before = time.process_time()
    SimulatedScheduler(engine, steps, n_parts).run()
    return {
        "gpus": fleet.gpus,
        "clips": fleet.clips,
        "parts": n_parts,
        "busy": round(engine.busy_s / (fleet.gpus * (engine.last_s - engine.first_s)), 3),
        "gpu_hours": round(engine.busy_s / 3600, 3),
        "hours": round(engine.now_s / 3600, 2),
        "first_gpu_job_min": round(engine.first_s / 60, 1),
        "hosts_lost": engine.losses,
        "crashes": engine.crashes,
        "most_running": engine.most_running,
        "scheduler_cpu_s": round(time.process_time() - before, 2),
    }


def measure_fleet() -> dict[str, Any]:
    """The fleet of the goal over five draws, and what breaks first as one thing after the other changes."""
    base = Fleet()
    busy = [simulate(replace(base, seed=seed))["busy"] for seed in range(1, 6)]
    scenarios = {
        "nothing": base,
        "no faults": replace(base, lost_after_h=0, crash_after_h=0),
        "each GPU process dies once an hour": replace(base, crash_after_h=1),
        "each host is lost once in 4 h": replace(base, lost_after_h=4),
        "durations vary by 50%": replace(base, spread=0.5),
        "256 parts": replace(base, max_parts=256),
        "four runs per slot": replace(base, parts_per_run=0),
        "32 CPU slots": replace(base, cpu_slots=32),
        "128 GPUs": replace(base, gpus=128, cpu_slots=256),
        "256 GPUs": replace(base, gpus=256, cpu_slots=256),
        "4,000 clips": replace(base, clips=4_000),
    }
    found = {name: simulate(replace(fleet, seed=1)) for name, fleet in scenarios.items()}
    return {"busy_64": statistics.median(busy), "busy_64_range": [min(busy), max(busy)], "scenarios": found}


# measured on a real server


def measure_start(folder: Path) -> dict[str, Any]:
    """Seconds to the first item, and wall seconds of stage runs and tasks that have nothing to do."""
    draw_videos(folder / "videos", 2)
    stack = Stack(folder / "state", ONE_WORKER, port=0, tied=True)
    stack.up()
    try:
        workspace = folder / "ws"
        values = {"workspace": str(workspace), "source": {"folder": str(folder / "videos")}, "profile": "mini"}
        started = time.time()
        _prefect(stack, "deployment", "run", "build-mask-dataset/build-mask-dataset", "--params", json.dumps(values))
        returned = time.time()
        first_s = _appears(workspace / "journal" / "ingest") - started
        _appears(workspace / "heads" / "ingest" / "part-00000.json")
        with stack.client() as client:
            run = client.read_flow_runs()[0]
            states = {state.name: state.timestamp.timestamp() for state in client.read_flow_run_states(run.id)}
            client.set_flow_run_state(run.id, Cancelling(), force=True)
        stage_s = [_stage_run(stack, workspace) for _ in range(4)][1:]
        task_s = float(_python(stack, "-m", "benchmarks.orchestration", "tasks", str(folder)).split()[-1])
    finally:
        stack.down()
    return {
        "first_item_s": round(first_s, 2),
        "command_s": round(returned - started, 2),
        "until_pending_s": round(states["Pending"] - started, 2),
        "until_running_s": round(states["Running"] - started, 2),
        "stage_run_s": round(statistics.median(stage_s), 2),
        "task_s": round(task_s, 3),
    }


def run_tasks(folder: Path) -> float:
    """Seconds per task of a flow with engine threads over 64 parts that are finished before."""
    from prefect import flow

    from mvideo.flows._engine import open_engine
    from mvideo.flows._steps import EngineOptions
    from tests.flows.toy import ToyOptions, planned, toy_a

    url, n_parts = planned(folder / "tasks", [f"v{number}" for number in range(64)])
    steps = [Step("toy-a", toy_a, ToyOptions(), ("source",), "cpu")]

    @flow(name="nothing-to-do")
    def go() -> float:
        started = time.perf_counter()
        with open_engine(EngineOptions(cpu_slots=2), jobs=2) as engine:
            Scheduler(engine, steps, url, range(n_parts), 0.2).run()
        return time.perf_counter() - started

    go()
    return go() / n_parts


def _stage_run(stack: Stack, workspace: Path) -> float:
    """Seconds from the request to the end of a run of `ingest` whose part is finished."""
    with stack.client() as client:
        deployment = client.read_deployment_by_name("ingest/ingest")
        started = time.time()
        run = client.create_flow_run_from_deployment(deployment.id, parameters={"workspace": str(workspace)})
        while not (state := client.read_flow_run(run.id).state) or not state.is_final():
            time.sleep(0.1)
        if not state.is_completed():
            raise SystemExit(f"the stage run ended {state.name}: {state.message}")
    return state.timestamp.timestamp() - started


def _appears(path: Path, at_most_s: float = 300.0) -> float:
    """When a file or folder appeared, seconds since 1970."""
    deadline = time.monotonic() + at_most_s
    while not path.exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"{path} did not appear in {at_most_s:.0f} s")
        time.sleep(0.02)
    return time.time()


def _python(stack: Stack, *words: str) -> str:
    known = {**os.environ, **stack.settings}
    return subprocess.run([sys.executable, *words], env=known, capture_output=True, text=True, check=True).stdout


def _prefect(stack: Stack, *words: str) -> str:
    return _python(stack, "-m", "prefect", *words)


def measure_start_here() -> dict[str, Any]:
    """`measure_start` in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        return measure_start(Path(folder))


def measure() -> dict[str, Any]:
    """All of it."""
    return measure_start_here() | measure_fleet() | {"goals": {"busy_64": ">= 0.9"}}


def main() -> None:
    """All figures, or those of the simulated fleet."""
    if sys.argv[1:2] == ["tasks"]:
        print(run_tasks(Path(sys.argv[2])))
        return
    part = {"fleet": measure_fleet, "start": measure_start_here}.get("".join(sys.argv[1:]), measure)
    print(json.dumps(part(), indent=1))


if __name__ == "__main__":
    main()
