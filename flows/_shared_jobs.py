"""Work shared with other workers: each job is a run of a deployment, executed by any worker on its queue.

The requesting flow run works, too: on jobs that no worker has started, which it takes back, and on jobs whose run
crashed. So it never waits for a worker that does not exist.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.states import Cancelled

from mvideo.flows._workers import run_of_job
from mvideo_core.base.errors import StoreError

POLL_S = 3.0


class SharedJob(NamedTuple):
    """One share of the work.

    Attributes:
        parameters: of the run that does it.
        label: name of that run.
        key: what the run is found by after a kill; the same work must give the same text.
    """

    parameters: dict[str, Any]
    label: str
    key: str


def share(
    deployment: str, jobs: Sequence[SharedJob], work: Callable[[int], object], done: bool, queue: str | None = None
) -> None:
    """Finish every job: the first one here, the others wherever they are picked up first.

    Args:
        work: does a job in this process, by its number.
        done: whether a run completed before a kill counts; if not, a new run follows it.
        queue: work queue of the runs; None = the deployment's default.

    Raises:
        StoreError: a job's run failed; its page says why.
    """
    runs = {number: _ask(deployment, job, done, queue) for number, job in enumerate(jobs) if number}
    work(0)
    while runs:
        if (number := _own(runs)) is not None:
            del runs[number]
            work(number)
        elif runs := {number: run_id for number, run_id in runs.items() if not _is_completed(run_id)}:
            time.sleep(POLL_S)


def _ask(deployment: str, job: SharedJob, done: bool, queue: str | None) -> UUID:
    """The run of a job: a new run, or the run that this flow run requested before it was killed."""
    with get_client(sync_client=True) as client:
        return run_of_job(client, deployment, job.parameters, job.label, job.key, done, queue).id


def _own(runs: dict[int, UUID]) -> int | None:
    """A job for this process: a job that no worker has started (its run is cancelled), or a job whose run crashed."""
    with get_client(sync_client=True) as client:
        for number, run_id in runs.items():
            state = client.read_flow_run(run_id).state
            if state is not None and state.is_scheduled():
                client.set_flow_run_state(run_id, Cancelled(message="done by the run that requested it"), force=True)
                return number
            if state is not None and state.is_crashed():
                return number
    return None


def _is_completed(run_id: UUID) -> bool:
    """Whether a job's run is completed; a crashed run is not.

    Raises:
        StoreError: it failed or was cancelled.
    """
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
    if run.state is None or not run.state.is_final() or run.state.is_crashed():
        return False
    if run.state.is_completed():
        return True
    raise StoreError(f"{run.name} ended {run.state.name}: {run.state.message}; retry this run to resume")
