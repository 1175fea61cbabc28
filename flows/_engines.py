"""Where a flow's tasks run: threads of this process, workers on the queues, or Ray. The flow code is the same for all.

Prefect's `map` and `submit(wait_for=...)` alone are not enough. Measured with 3.9.1: of 5,000 mapped task runs the
server recorded 3,462, since its event queue drops bursts; and a task run whose process is killed stays Running forever.
Here a flow starts no more tasks than there are slots, late stages first, so that parts get finished one by one; and
with workers, a job is a run of the stage's deployment, which a retried flow finds again.
"""

import queue
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal, Protocol
from uuid import UUID

from prefect import Task, runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import FlowRun, RunInput, State, TaskRunResult
from prefect.deployments import run_deployment
from prefect.futures import PrefectFuture
from prefect.states import Scheduled
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import Field

from mvideo.tasks.stages import Parts, PartsDone
from mvideo_core.base.errors import ConfigError, ModelError, StoreError
from mvideo_core.base.options import Options, digest
from mvideo_core.base.stopping import pool_that_stops
from mvideo_core.engine import STAGES
from mvideo_core.engine.part import PartJob
from mvideo_core.store.workspace import Workspace

Resource = Literal["cpu", "gpu"]
CRASH_RETRIES = 5
"""A stage run resumes this many times after its process or host died."""

MAX_RUNS_OF_ONE_JOB = 100
PAGE = 200


class EngineOptions(Options):
    """Which engine runs the tasks, and how many run at a time."""

    kind: Literal["threads", "workers", "ray"] = Field(
        default="threads",
        description="threads: in the flow's process, one GPU. workers: each stage as runs of its deployment, "
        "on as many hosts and GPUs as there are workers. ray: tasks on a Ray cluster.",
    )
    cpu_slots: int = Field(
        default=0, ge=0, le=256, description="CPU tasks (or stage runs) at a time; 0 = run.jobs of the profile."
    )
    gpu_slots: int = Field(
        default=1,
        ge=1,
        le=256,
        description="GPU tasks (or stage runs) at a time: the number of GPUs.",
    )
    parts_per_run: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Parts per stage run (workers) or GPU task (ray), so that weights are loaded once for all of them; "
        "0 = about four runs per slot. Engine threads always processes single parts.",
    )
    ray_address: str = Field(
        default="", description="ray: head of a running cluster, such as ray://head:10001; empty = start Ray here."
    )
    ray_cpus_per_task: float = Field(default=1.0, ge=0, le=1024, description="ray: CPUs that each task claims.")
    ray_gpus_per_task: float = Field(default=1.0, ge=0, le=64, description="ray: GPUs that each GPU task claims.")
    poll_s: float = Field(default=3.0, ge=0.1, le=300, description="workers: seconds between polls of the stage runs.")


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a flow: its name, task and options, what it waits for, and which kind of slot it needs."""

    name: str
    task: Task[Any, PartsDone]
    options: Options
    reads: tuple[str, ...]
    resource: Resource


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one submitted job ended; `error` is None if it succeeded. `reused`: parts that were already in the store."""

    job: object
    error: BaseException | None
    reused: int = 0


class Engine(Protocol):
    """A running engine: accepts jobs and reports finished ones. A job is one stage over some parts."""

    slots: dict[Resource, int]

    def slice_parts(self, resource: Resource, n_parts: int) -> int:
        """Number of parts per job."""

    def submit(self, step: Step, parts: Parts, after: Collection[object]) -> object:
        """Start a job. `after`: the (finished) jobs that it builds on."""

    def collect(self, timeout_s: float) -> list[Outcome]:
        """Jobs that ended since the last call; waits up to `timeout_s` for one."""


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
        with _ray().RayTaskRunner(address=options.ray_address or None) as cluster:
            yield RayEngine(cluster, slots, options)
    else:
        slots["gpu"] = 1
        runner: ThreadPoolTaskRunner[Any]
        with pool_that_stops(ThreadPoolTaskRunner(max_workers=sum(slots.values()))) as runner:
            yield TaskRunnerEngine(runner, slots)


def even_slice(n_parts: int, slots: int, parts_per_run: int) -> int:
    """Parts per job: as configured, otherwise chosen so that each slot gets about four jobs."""
    return parts_per_run or max(1, -(-n_parts // (4 * slots)))


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
        return 1 if resource == "cpu" else even_slice(n_parts, self.slots["gpu"], self.engine.parts_per_run)

    def start(
        self, step: Step, parameters: dict[str, Any], dependencies: dict[str, set[RunInput]]
    ) -> PrefectFuture[Any]:
        """Submit one task to Ray with its CPUs and GPUs."""
        claims: dict[str, float] = {"num_cpus": self.engine.ray_cpus_per_task}
        if step.resource == "gpu":
            claims["num_gpus"] = self.engine.ray_gpus_per_task
        with _ray().remote_options(**claims):
            return super().start(step, parameters, dependencies)


def _ray() -> Any:
    """The parts of the package `prefect_ray` that we use.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import prefect_ray
        import prefect_ray.context
    except ImportError as error:
        # not mvideo[ray]: it brings a full OpenCV
        install = "pip install 'prefect-ray>=0.6,<0.7' 'ray[default]>=2.60,<3'"
        raise ConfigError(f"engine ray needs packages that are missing ({error.name}): {install}") from None
    return SimpleNamespace(RayTaskRunner=prefect_ray.RayTaskRunner, remote_options=prefect_ray.context.remote_options)


class WorkerEngine:
    """Jobs are runs of the stages' own deployments, executed by any worker on their queue.

    A stage run outlives the flow that requested it; after a crash, the retried flow finds it again by its key.

    Args:
        slots: stage runs requested at a time, by resource; the workers decide how many actually run.
    """

    def __init__(self, engine: EngineOptions, slots: dict[Resource, int]):
        self.engine = engine
        self.slots = slots
        self._under_way: set[UUID] = set()
        self._held: list[Outcome] = []
        self._crashes: dict[UUID, int] = {}

    def slice_parts(self, resource: Resource, n_parts: int) -> int:
        """Each stage run takes a slice: starting it costs about ten seconds, and weights load once per run."""
        return even_slice(n_parts, self.slots[resource], self.engine.parts_per_run)

    def submit(self, step: Step, parts: Parts, after: Collection[object]) -> object:
        """Id of the stage run, new or found again; a finished job if the store already has all its parts."""
        if _is_in_store(step, parts):
            self._held.append(Outcome(job := object(), None, len(parts.indices)))
            return job
        with get_client(sync_client=True) as client:
            run = self._run(client, step, parts)
        self._under_way.add(run.id)
        return run.id

    def collect(self, timeout_s: float) -> list[Outcome]:
        """Stage runs that ended; a crashed one is put back in the queue first."""
        ended, self._held = self._held, []
        if ended or not self._under_way:
            return ended
        time.sleep(max(timeout_s, self.engine.poll_s))
        with get_client(sync_client=True) as client:
            for run in _read_runs(client, sorted(self._under_way)):
                if run.state is None or not run.state.is_final() or self._retry_crashed(client, run):
                    continue
                self._under_way.discard(run.id)
                ended.append(Outcome(run.id, _error(run)))
        return ended

    def _run(self, client: SyncPrefectClient, step: Step, parts: Parts) -> FlowRun:
        parameters = {
            "workspace": parts.workspace,
            "profile": "",
            "options": step.options.model_dump(mode="json"),
            "parts": list(parts.indices),
        }
        key = f"{step.name}-{digest(parameters)[:16]}"
        return run_of_job(client, f"{step.name}/{step.name}", parameters, f"{step.name} {parts.label}", key)

    def _retry_crashed(self, client: SyncPrefectClient, run: FlowRun) -> bool:
        crashes = self._crashes.get(run.id, 0)
        if run.state is None or not run.state.is_crashed() or crashes >= CRASH_RETRIES:
            return False
        self._crashes[run.id] = crashes + 1
        again: State[Any] = Scheduled(message=f"crashed ({run.state.message}); resumes where it stopped")
        client.set_flow_run_state(run.id, again, force=True)
        return True


def run_of_job(
    client: SyncPrefectClient,
    deployment: str,
    parameters: dict[str, Any],
    label: str,
    key: str,
    done: bool = False,
    queue: str | None = None,
) -> FlowRun:
    """A deployment's run for a job of this flow run: a new run, or the run requested before a kill.

    Args:
        label: name of a new run.
        key: what the run is found by; the same work must give the same text.
        done: whether a completed run counts, too; if not, a new run follows it.
        queue: work queue of a new run; None = the deployment's default.

    Raises:
        StoreError: many runs of this job ended without finishing it.
    """
    for attempt in range(MAX_RUNS_OF_ONE_JOB):
        found_by = f"{runtime.flow_run.id}-{key}-{attempt}"
        found = _by_key(client, found_by)
        if found is None:
            run = run_deployment(
                deployment,
                parameters=parameters,
                flow_run_name=label,
                idempotency_key=found_by,
                work_queue_name=queue,
                timeout=0,
            )
            assert isinstance(run, FlowRun)  # a coroutine only when called from async code
            return run
        if found.state is None or not found.state.is_final() or (done and found.state.is_completed()):
            return found
    raise StoreError(f"{label}: {MAX_RUNS_OF_ONE_JOB} runs did not finish it; see their logs")


def _read_runs(client: SyncPrefectClient, ids: Sequence[UUID]) -> Iterator[FlowRun]:
    """These flow runs; a server answers with at most a page of them at a time."""
    for start in range(0, len(ids), PAGE):
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=list(ids[start : start + PAGE])))
        yield from client.read_flow_runs(flow_run_filter=chosen, limit=PAGE)


def _by_key(client: SyncPrefectClient, key: str) -> FlowRun | None:
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=[key])))
    return runs[0] if runs else None


def _is_in_store(step: Step, parts: Parts) -> bool:
    workspace, stage = Workspace(parts.workspace), STAGES.get(step.name)
    try:
        return all(PartJob(workspace, stage, index, step.options).find_marker() for index in parts.indices)
    except (ConfigError, ModelError):  # upstream or weights are not on this host; a worker that lacks them says so
        return False


def _error(run: FlowRun) -> BaseException | None:
    if run.state is None or run.state.is_completed():
        return None
    message = f"stage run {run.name!r} ended {run.state.name}: {run.state.message}"
    for kind in (ConfigError, ModelError):
        if f"{kind.__name__}:" in (run.state.message or ""):
            return kind(message)
    return StoreError(message)


def _outcome(future: PrefectFuture[Any]) -> Outcome:
    future.wait()
    result = future.result(raise_on_failure=False)
    if isinstance(result, PartsDone):
        return Outcome(future, None, result.reused)
    return Outcome(future, result if isinstance(result, BaseException) else TaskVanished(f"no result: {result!r}"))


class TaskVanished(RuntimeError):
    """A task ended without a result and without an error: a bug of ours or of the engine."""
