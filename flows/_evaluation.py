"""Scoring on several GPUs: each further part is a run of the same deployment, taken by any worker on its queue.

The run that asked scores parts itself too, and takes back those that no worker has begun; so it never waits for a
worker that is not there.
"""

import time
from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.states import Cancelled, Scheduled

from flows._workers import CRASH_RETRIES, MAX_RUNS_OF_ONE_PIECE, _by_key
from mvideo_core.errors import StoreError
from mvideo_core.evaluation.request import EvaluateRequest
from tasks.evaluate import score

DEPLOYMENT = "evaluate-mvideo/evaluate-mvideo"
POLL_S = 3.0


def score_parts(request: EvaluateRequest, gpus: int) -> int:
    """Score everything, in as many parts as there are GPUs. Returns: the number of parts.

    Raises:
        StoreError: a part's run failed; its own page says why.
    """
    if gpus == 1:
        score(request, "0/1")
        return 1
    runs = {index: _ask(request, index, gpus) for index in range(1, gpus)}
    score(request, f"0/{gpus}")
    crashes: dict[UUID, int] = {}
    while runs:
        if (index := _taken_back(runs)) is not None:
            score(request, f"{index}/{gpus}")
            continue
        for index in [index for index, run_id in runs.items() if _ended(run_id, crashes)]:
            del runs[index]
        if runs:
            time.sleep(POLL_S)
    return gpus


def _ask(request: EvaluateRequest, index: int, count: int) -> UUID:
    """The run of a part: new, or the one that this flow run asked for before it was killed."""
    parameters: dict[str, Any] = {
        "manifests": list(request.manifests),
        "out": request.out,
        "options": request.suite.model_dump(mode="json"),
        "part": f"{index}/{count}",
    }
    piece = f"{runtime.flow_run.id}-part-{index}-of-{count}-{request.plan().digest[:16]}"
    for attempt in range(MAX_RUNS_OF_ONE_PIECE):
        key = f"{piece}-{attempt}"
        with get_client(sync_client=True) as client:
            found = _by_key(client, key)
        if found is None:
            name = f"score part {index} of {count}"
            run = run_deployment(DEPLOYMENT, parameters=parameters, flow_run_name=name, idempotency_key=key, timeout=0)
            assert isinstance(run, FlowRun)  # a coroutine only when called from async code
            return run.id
        if found.state is None or not found.state.is_final() or found.state.is_completed():
            return found.id
    raise StoreError(f"part {index} of {count}: {MAX_RUNS_OF_ONE_PIECE} runs did not finish it; see their logs")


def _taken_back(runs: dict[int, UUID]) -> int | None:
    """A part whose run nobody has begun; that run is cancelled."""
    with get_client(sync_client=True) as client:
        for index, run_id in list(runs.items()):
            state = client.read_flow_run(run_id).state
            if state is not None and state.is_scheduled():
                client.set_flow_run_state(run_id, Cancelled(message="scored by the run that asked for it"), force=True)
                del runs[index]
                return index
    return None


def _ended(run_id: UUID, crashes: dict[UUID, int]) -> bool:
    """Whether a part's run is completed; a crashed one is sent back to the queue a few times.

    Raises:
        StoreError: it failed.
    """
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
        if run.state is None or not run.state.is_final():
            return False
        if run.state.is_completed():
            return True
        if run.state.is_crashed() and crashes.get(run_id, 0) < CRASH_RETRIES:
            crashes[run_id] = crashes.get(run_id, 0) + 1
            _send_back(client, run)
            return False
        raise StoreError(f"{run.name} ended {run.state.name}: {run.state.message}; retry this run to go on")


def _send_back(client: SyncPrefectClient, run: FlowRun) -> None:
    again: State[Any] = Scheduled(message="crashed; goes on at the first missing score")
    client.set_flow_run_state(run.id, again, force=True)
