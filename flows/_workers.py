"""Lanes over workers: a piece of work is a run of the stage's own deployment, taken by any worker on its queue.

A stage run outlives the flow that asked for it; after a crash the retried flow finds it again by its idempotency key.
"""

import time
from collections.abc import Collection
from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.states import Scheduled

from mvideo.flows._engine import EngineOptions, Outcome, Resource, Step, even_slice
from mvideo.tasks._parts import Parts
from mvideo_core.base.errors import ConfigError, ModelError, StoreError
from mvideo_core.base.options import digest
from mvideo_core.engine import STAGES
from mvideo_core.engine.part import PartJob
from mvideo_core.store.workspace import Workspace

CRASH_RETRIES = 5
"""A stage run whose process or host died goes on where it stopped, this often."""

MAX_RUNS_OF_ONE_PIECE = 100


class WorkerLanes:
    """Stage runs on the queues.

    Args:
        slots: stage runs asked for at once, by resource; how many really run is up to the workers.
    """

    def __init__(self, engine: EngineOptions, slots: dict[Resource, int]):
        self.engine = engine
        self.slots = slots
        self._under_way: set[UUID] = set()
        self._held: list[Outcome] = []
        self._crashes: dict[UUID, int] = {}

    def slice_parts(self, resource: Resource, n_parts: int) -> int:
        """Each stage run takes a slice: its start costs about ten seconds, and weights load once a run."""
        return even_slice(n_parts, self.slots[resource], self.engine.parts_per_run)

    def submit(self, step: Step, parts: Parts, after: Collection[object]) -> object:
        """Id of the stage run, new or found again; a ticket that is finished at once if the store has all of it."""
        if _held_by_store(step, parts):
            self._held.append(Outcome(ticket := object(), None, len(parts.indices)))
            return ticket
        with get_client(sync_client=True) as client:
            run = self._run(client, step, parts)
        self._under_way.add(run.id)
        return run.id

    def finished(self, timeout_s: float) -> list[Outcome]:
        """Stage runs that ended; a crashed one is sent back to the queue first."""
        ended, self._held = self._held, []
        if ended or not self._under_way:
            return ended
        time.sleep(max(timeout_s, self.engine.poll_s))
        with get_client(sync_client=True) as client:
            ids = FlowRunFilterId(any_=sorted(self._under_way))
            runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=ids), limit=200)
            for run in runs:
                if run.state is None or not run.state.is_final() or self._sent_back(client, run):
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
        piece = f"{step.name}-{digest(parameters)[:16]}"
        return run_of_piece(client, f"{step.name}/{step.name}", parameters, f"{step.name} {parts.label}", piece)

    def _sent_back(self, client: SyncPrefectClient, run: FlowRun) -> bool:
        crashes = self._crashes.get(run.id, 0)
        if run.state is None or not run.state.is_crashed() or crashes >= CRASH_RETRIES:
            return False
        self._crashes[run.id] = crashes + 1
        again: State[Any] = Scheduled(message=f"crashed ({run.state.message}); goes on where it stopped")
        client.set_flow_run_state(run.id, again, force=True)
        return True


def run_of_piece(
    client: SyncPrefectClient,
    deployment: str,
    parameters: dict[str, Any],
    label: str,
    piece: str,
    done: bool = False,
    queue: str | None = None,
) -> FlowRun:
    """A deployment's run over a piece of this flow run's work: new, or the one asked for before a kill.

    Args:
        label: name of a new run.
        piece: what the run is found by; the same work must give the same text.
        done: whether a completed run counts, too; without, a completed one is followed by a new one.
        queue: work queue of a new run; None = the deployment's own.

    Raises:
        StoreError: many runs of this piece ended without finishing it.
    """
    for attempt in range(MAX_RUNS_OF_ONE_PIECE):
        key = f"{runtime.flow_run.id}-{piece}-{attempt}"
        found = _by_key(client, key)
        if found is None:
            run = run_deployment(
                deployment,
                parameters=parameters,
                flow_run_name=label,
                idempotency_key=key,
                work_queue_name=queue,
                timeout=0,
            )
            assert isinstance(run, FlowRun)  # a coroutine only when called from async code
            return run
        if found.state is None or not found.state.is_final() or (done and found.state.is_completed()):
            return found
    raise StoreError(f"{label}: {MAX_RUNS_OF_ONE_PIECE} runs did not finish it; see their logs")


def _by_key(client: SyncPrefectClient, key: str) -> FlowRun | None:
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=[key])))
    return runs[0] if runs else None


def _held_by_store(step: Step, parts: Parts) -> bool:
    workspace, stage = Workspace(parts.workspace), STAGES.get(step.name)
    try:
        return all(PartJob(workspace, stage, index, step.options).finished() for index in parts.indices)
    except (ConfigError, ModelError):  # upstream or weights are not here; the worker will say so if it lacks them too
        return False


def _error(run: FlowRun) -> BaseException | None:
    if run.state is None or run.state.is_completed():
        return None
    message = f"stage run {run.name!r} ended {run.state.name}: {run.state.message}"
    for kind in (ConfigError, ModelError):
        if f"{kind.__name__}:" in (run.state.message or ""):
            return kind(message)
    return StoreError(message)
