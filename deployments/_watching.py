"""Follows a flow run from outside: one line per stage and per training run, from the progress bars in its artifacts."""

import time
from collections.abc import Callable, Iterator
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import Artifact, FlowRun, State, StateType
from prefect.exceptions import PrefectException

from mvideo.deployments._lines import Line, LiveLines
from mvideo.deployments._pages import read_all
from mvideo_core.base.durations import duration
from mvideo_core.base.errors import StoreError

POLL_S = 2.0
AWAY_S = 120.0
ENDING = "-progress"
INDENT = "    "


def follow(
    client: SyncPrefectClient, run_id: UUID, lines: LiveLines, sleep: Callable[[float], None] = time.sleep
) -> State:
    """Show the progress of a run and its subflows until the run ends. Returns: its final state.

    Raises:
        StoreError: the server has not responded for AWAY_S.
    """
    began = answered = time.monotonic()
    while True:
        try:
            state = _look(client, run_id, lines, time.monotonic() - began)
            answered = time.monotonic()
        except (httpx.HTTPError, PrefectException) as error:
            if time.monotonic() - answered > AWAY_S:
                raise StoreError(f"the server has not responded for {AWAY_S:.0f} s ({error}); see its log") from None
            state = None
        if state is not None:
            lines.end()
            return state
        sleep(POLL_S)


def _look(client: SyncPrefectClient, run_id: UUID, lines: LiveLines, seconds: float) -> State | None:
    """Show the current progress. Returns: the state of the run if it is final."""
    run = client.read_flow_run(run_id)
    tree = list(run_tree(client, run))
    over = run.state is not None and run.state.is_final()
    status = "" if over else f"{INDENT}{_describe_work(client, run, tree)}, {duration(seconds)}"
    lines.show([line_of(bar) for bar in progress_bars(client, tree)], status)
    return run.state if over else None


def run_tree(client: SyncPrefectClient, run: FlowRun) -> Iterator[FlowRun]:
    """A run, its subflows, their subflows, and so on."""
    found = [run]
    while found:
        yield from found
        parents = FlowRunFilterParentFlowRunId(any_=[one.id for one in found])
        found = read_all(client.read_flow_runs, flow_run_filter=FlowRunFilter(parent_flow_run_id=parents))


def progress_bars(client: SyncPrefectClient, runs: list[FlowRun]) -> list[Artifact]:
    """The progress bars of some runs, oldest first; of two bars of one run and name (a retried task), the newer."""
    mine = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[run.id for run in runs]), type=ArtifactFilterType(any_=["progress"])
    )
    found = sorted(read_all(client.read_artifacts, artifact_filter=mine), key=lambda bar: str(bar.created))
    return list({(bar.flow_run_id, bar.key): bar for bar in found}.values())


def line_of(bar: Artifact) -> Line:
    """ "    cut             45%  2 of 4 parts, 7 items, 0.52 items/s, about 8 s left"."""
    name = (bar.key or "").removesuffix(ENDING)
    percent = float(bar.data) if isinstance(bar.data, int | float) else 0.0
    words = (bar.description or "").removeprefix(f"{name}: ")
    return Line(f"{bar.flow_run_id} {name}", f"{INDENT}{name:<16} {percent:>4.0f}%  {words}", percent >= 100)


def _describe_work(client: SyncPrefectClient, run: FlowRun, tree: list[FlowRun]) -> str:
    """What is running without a progress bar: the running tasks, or the state of the run."""
    running = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING])))
    ids = FlowRunFilterId(any_=[one.id for one in tree])
    tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=ids), task_run_filter=running, limit=5)
    subflows = {one.parent_task_run_id for one in tree}  # each is also a task run of its parent
    names = sorted(task.name for task in tasks if task.id not in subflows)
    return ", ".join(names) or (run.state_name or "").lower()
