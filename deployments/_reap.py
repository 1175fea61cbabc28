"""A lost run is one that Prefect considers alive although its process is gone. `mvideo server reap`, `up` and `watch`
look for the processes of runs, and correct the states of lost runs.

A worker that is stopped by SIGTERM, or dies together with its runs, leaves them in the state Running. They cannot be
retried in this state, and they hold slots of limited queues ([measured](docs/results/prefect.md)). Without `reap`, an
automation marks them Crashed when they have sent no heartbeat for `silent_s` seconds (an option of the server host's
environment). `mvideo server up` and `register` create this automation; `prefect deploy` does not.

Only runs of deployments with the tag `mvideo`, and the runs that their flows started, are checked. Runs of other teams
are never marked Crashed or retried.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.states import Cancelled, Crashed, Scheduled

from mvideo.deployments._pages import read_all
from mvideo.deployments._processes import live_flow_runs
from mvideo.deployments.names import TAG

STARTING_S = 60.0
"""A run that a worker claimed more recently than this may not have its process yet. A run being cancelled may no longer
have a process: its worker still looks for hooks and then sets it to Cancelled, even if it was retried in the meantime.
"""
WORKER_STATES = (StateType.PENDING, StateType.CANCELLING)

PROCESS = "process"
OURS = FlowRunFilterTags(all_=[TAG])
GONE = "its process is gone; a retry resumes where it stopped"


@dataclass(frozen=True, slots=True)
class Reaped:
    """One corrected run: its old and new state."""

    run: FlowRun
    was: str
    now: str


def reap(client: SyncPrefectClient, *, silent_s: float, elsewhere: bool, starting: bool) -> list[Reaped]:
    """Correct every zombie run: Running becomes Crashed, Cancelling becomes Cancelled, Pending is queued again.

    In Docker and Kubernetes pools a Pending run is left alone: its job may be waiting for an image or for a GPU.

    Args:
        silent_s: a run on another host counts as alive if it sent a heartbeat within this time.
        elsewhere: runs may be on other hosts; otherwise, a run without a process here is gone.
        starting: workers are up, so a run claimed just now may be about to get its process, and a run cancelled just
            now may be about to become Cancelled.
    """
    here = live_flow_runs()
    slow = {pool.name for pool in client.read_work_pools() if pool.type != PROCESS}
    found = []
    for run in list_unfinished(client):
        if str(run.id) in here or (starting and _age_s(run) < STARTING_S and run.state_type in WORKER_STATES):
            continue
        if run.state_type == StateType.PENDING and run.work_pool_name in slow:
            continue
        if elsewhere and (_age_s(run) < STARTING_S or _has_heartbeat(client, run, silent_s)):
            continue
        now = _verdict(run)
        client.set_flow_run_state(run.id, now, force=True)
        found.append(Reaped(run, run.state_name or "", now.name or ""))
    mark_tasks_crashed(client, [entry.run.id for entry in found])
    return found


def retry_crashed(client: SyncPrefectClient, max_runs: int, names: Collection[str] | None = None) -> list[FlowRun]:
    """Put crashed runs back in their queues; stage runs are left to the flow that requested them.

    Args:
        max_runs: a run that has been started this many times is left alone.
        names: only runs with these names or ids.
    """
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED]))
    runs = read_all(client.read_flow_runs, flow_run_filter=FlowRunFilter(state=state, tags=OURS))
    again = [
        run
        for run in runs
        if run.deployment_id
        and run.parent_task_run_id is None
        and run.run_count < max_runs
        and (names is None or run.name in names or str(run.id) in names)
    ]
    for run in again:
        client.set_flow_run_state(run.id, Scheduled(message="crashed; resumes where it stopped"), force=True)
    return again


def mark_tasks_crashed(client: SyncPrefectClient, ended: Sequence[UUID] = ()) -> int:
    """Mark task runs Crashed that were Running when their flow run's process died. Returns: how many.

    Args:
        ended: flow runs that ended just now, in addition to the runs of our deployments.
    """
    over = [StateType.CRASHED, StateType.CANCELLED, StateType.COMPLETED, StateType.FAILED]
    ours = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=over)), tags=OURS)
    state = TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING]))
    n_tasks = 0
    for runs in (ours, *([FlowRunFilter(id=FlowRunFilterId(any_=list(ended)))] if ended else [])):
        tasks = read_all(client.read_task_runs, flow_run_filter=runs, task_run_filter=TaskRunFilter(state=state))
        for task in tasks:
            client.set_task_run_state(task.id, Crashed(message="its flow run ended without it"), force=True)
        n_tasks += len(tasks)
    return n_tasks


def list_unfinished(client: SyncPrefectClient) -> list[FlowRun]:
    """Unfinished runs of our deployments, and the runs that their flows started, which have no tag."""
    found = _query_unfinished(client, OURS)
    tagged = {run.id for run in found}
    untagged = [run for run in _query_unfinished(client) if run.id not in tagged and run.parent_task_run_id is not None]
    return [*found, *(run for run in untagged if _is_started_by_ours(client, run))]


def _query_unfinished(client: SyncPrefectClient, tags: FlowRunFilterTags | None = None) -> list[FlowRun]:
    kinds = [StateType.RUNNING, StateType.CANCELLING, StateType.PENDING]
    chosen = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=kinds)), tags=tags)
    return read_all(client.read_flow_runs, flow_run_filter=chosen, sort=FlowRunSort.START_TIME_ASC)


def _is_started_by_ours(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether the run at the root of a run's parents is one of ours."""
    while run.parent_task_run_id is not None:
        parent = client.read_task_run(run.parent_task_run_id).flow_run_id
        if parent is None:
            return False
        run = client.read_flow_run(parent)
    return TAG in run.tags


def _verdict(run: FlowRun) -> State:
    if run.state_type == StateType.CANCELLING:
        return Cancelled(message=f"cancelled; {GONE}")
    if run.state_type == StateType.PENDING:
        return Scheduled(message="its worker died before it started")
    return Crashed(message=GONE)


def _age_s(run: FlowRun) -> float:
    """Seconds since the run entered its current state."""
    if run.state is None or run.state.timestamp is None:
        return float("inf")
    return (datetime.now(UTC) - run.state.timestamp).total_seconds()


def _has_heartbeat(client: SyncPrefectClient, run: FlowRun, silent_s: float) -> bool:
    since = datetime.now(UTC) - timedelta(seconds=silent_s)
    page = client.read_events(
        filter=EventFilter(
            event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
            occurred=EventOccurredFilter(since=since),  # type: ignore[arg-type]
        ),
        limit=1,
    )
    return bool(page.events)
