"""Jobs as runs of the stages' own deployments: any worker on their queue executes them."""

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.states import Scheduled

from mvideo.flows._steps import EngineOptions, Outcome, Resource, Step, slice_evenly
from mvideo.tasks.stages import Parts
from mvideo_core.base.errors import ConfigError, ModelError, StoreError
from mvideo_core.base.options import SHOWN, digest
from mvideo_core.engine import STAGES
from mvideo_core.engine.part import PartJob
from mvideo_core.store.workspace import Workspace

CRASH_RETRIES = 5
"""A stage run resumes this many times after its process or host died."""

MAX_RUNS_OF_ONE_JOB = 100
PAGE = 200


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
        return slice_evenly(n_parts, self.slots[resource], self.engine.parts_per_run)

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
            "options": step.options.model_dump(mode="json", context=SHOWN),
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
