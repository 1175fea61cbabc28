"""Scoring on several GPUs: each further part is a run of the same deployment, taken by any worker on its queue.

The run that asked scores parts itself too: those that no worker has begun, which it takes back, and those whose run
crashed. So it never waits for a worker that is not there.
"""

import time
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.states import Cancelled

from flows._workers import run_of_piece
from mvideo_core.errors import StoreError
from mvideo_core.evaluation.request import EvaluateRequest
from tasks.evaluate import parts_to_score, score

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
    while runs:
        if (index := _own(runs)) is not None:
            del runs[index]
            score(request, f"{index}/{gpus}")
        elif runs := {index: run_id for index, run_id in runs.items() if not _completed(run_id)}:
            time.sleep(POLL_S)
    for index in parts_to_score(request, gpus):  # a run of before a kill: its videos may have changed since
        score(request, f"{index}/{gpus}")
    return gpus


def _ask(request: EvaluateRequest, index: int, count: int) -> UUID:
    """The run of a part: new, or the one that this flow run asked for before it was killed."""
    parameters = {
        "manifests": list(request.manifests),
        "out": request.out,
        "options": request.suite.model_dump(mode="json"),
        "part": f"{index}/{count}",
    }
    piece = f"part-{index}-of-{count}-{request.plan().digest[:16]}"
    with get_client(sync_client=True) as client:
        return run_of_piece(client, DEPLOYMENT, parameters, f"score part {index} of {count}", piece, done=True).id


def _own(runs: dict[int, UUID]) -> int | None:
    """A part that this run has to score: no worker has begun it, and its run is cancelled; or its run crashed."""
    with get_client(sync_client=True) as client:
        for index, run_id in runs.items():
            state = client.read_flow_run(run_id).state
            if state is not None and state.is_scheduled():
                client.set_flow_run_state(run_id, Cancelled(message="scored by the run that asked for it"), force=True)
                return index
            if state is not None and state.is_crashed():
                return index
    return None


def _completed(run_id: UUID) -> bool:
    """Whether a part's run is completed; a crashed one is not.

    Raises:
        StoreError: it failed, or somebody cancelled it.
    """
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
    if run.state is None or not run.state.is_final() or run.state.is_crashed():
        return False
    if run.state.is_completed():
        return True
    raise StoreError(f"{run.name} ended {run.state.name}: {run.state.message}; retry this run to go on")
