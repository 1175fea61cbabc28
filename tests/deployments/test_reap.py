import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State, StateType
from prefect.states import Cancelling, Completed, Crashed, Pending, Running

from mvideo.deployments._environment import Environment
from mvideo.deployments._processes import FLOW_RUN
from mvideo.deployments._reap import reap, retry_crashed
from mvideo.deployments._setup import AUTOMATION, set_up
from mvideo.deployments.commands import app
from mvideo.deployments.names import TAG
from mvideo_core.base.errors import StoreError

pytestmark = pytest.mark.usefixtures("prefect_server")


@flow
def idle() -> None:
    """Never run here."""


@task
def step() -> None:
    """Never run here."""


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    """A client of the shared server, on which no other test has left a run."""
    with get_client(sync_client=True) as client:
        while runs := client.read_flow_runs():
            for run in runs:
                client.delete_flow_run(run.id)
        yield client


def kind(client: SyncPrefectClient, run_id: UUID) -> StateType | None:
    return client.read_flow_run(run_id).state_type


def test_runs_without_a_process_are_put_right_and_living_ones_left_alone(client: SyncPrefectClient) -> None:
    running, cancelling, pending, living, done = (client.create_flow_run(idle, tags=[TAG]).id for _ in range(5))
    for run, state in (
        (running, Running()),
        (cancelling, Cancelling()),
        (pending, Pending()),
        (living, Running()),
        (done, Completed()),
    ):
        client.set_flow_run_state(run, state, force=True)
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, FLOW_RUN: str(living)}
    )
    try:
        found = reap(client, silent_s=90, elsewhere=False, starting=False)
        assert {entry.run.id: entry.now for entry in found} == {
            running: "Crashed",
            cancelling: "Cancelled",
            pending: "Scheduled",
        }
        assert kind(client, living) == StateType.RUNNING
        assert kind(client, done) == StateType.COMPLETED
    finally:
        process.kill()
        process.wait()
    found = reap(client, silent_s=90, elsewhere=False, starting=False)
    assert [entry.run.id for entry in found] == [living]


@pytest.mark.parametrize(("state", "now"), [(Pending(), "Scheduled"), (Cancelling(), "Cancelled")])
def test_a_run_just_claimed_or_cancelled_is_its_worker_s(client: SyncPrefectClient, state: State, now: str) -> None:
    run = client.create_flow_run(idle, tags=[TAG]).id
    client.set_flow_run_state(run, state, force=True)
    assert reap(client, silent_s=90, elsewhere=False, starting=True) == []
    assert [entry.now for entry in reap(client, silent_s=90, elsewhere=False, starting=False)] == [now]


def test_a_run_of_another_host_is_left_alone_while_it_is_fresh(client: SyncPrefectClient) -> None:
    run = client.create_flow_run(idle, tags=[TAG]).id
    client.set_flow_run_state(run, Running(), force=True)
    assert reap(client, silent_s=90, elsewhere=True, starting=True) == []
    assert kind(client, run) == StateType.RUNNING


@pytest.mark.parametrize(("pool", "left"), [("process", False), ("kubernetes", True), ("docker", True)])
def test_a_job_that_waits_for_its_image_or_gpu_is_not_queued_again(
    pool: str, left: bool, client: SyncPrefectClient
) -> None:
    client.create_work_pool(WorkPoolCreate(name=f"reap-{pool}", type=pool), overwrite=True)
    flow_id = client.create_flow_from_name("idle")
    deployment = client.create_deployment(flow_id, f"reap-{pool}", work_pool_name=f"reap-{pool}", tags=[TAG])
    run = client.create_flow_run_from_deployment(deployment, state=Pending()).id
    reap(client, silent_s=90, elsewhere=False, starting=False)
    assert kind(client, run) == (StateType.PENDING if left else StateType.SCHEDULED)


def test_runs_of_another_team_are_not_judged(client: SyncPrefectClient) -> None:
    theirs = {state: client.create_flow_run(idle, tags=["theirs"]).id for state in ("run", "wait", "stop", "crash")}
    for state, value in (("run", Running()), ("wait", Pending()), ("stop", Cancelling()), ("crash", Crashed())):
        client.set_flow_run_state(theirs[state], value, force=True)
    before = {run: client.read_flow_run(run).state for run in theirs.values()}
    ours = client.create_flow_run(idle, tags=["data", TAG]).id
    client.set_flow_run_state(ours, Running(), force=True)
    found = {entry.run.id for entry in reap(client, silent_s=90, elsewhere=False, starting=False)}
    assert ours in found
    retry_crashed(client, max_runs=100)
    assert {run: client.read_flow_run(run).state for run in theirs.values()} == before


def test_a_run_that_a_flow_of_ours_began_is_judged_with_it(client: SyncPrefectClient) -> None:
    for tags in ([TAG], ["theirs"]):
        parent = client.create_flow_run(idle, tags=tags).id
        begun = client.create_task_run(step, flow_run_id=parent, dynamic_key="0")
        child = client.create_flow_run(idle, parent_task_run_id=begun.id).id
        for run in (parent, child):
            client.set_flow_run_state(run, Running(), force=True)
        found = {entry.run.id for entry in reap(client, silent_s=90, elsewhere=False, starting=False)}
        assert found == ({parent, child} if TAG in tags else set())


@pytest.mark.parametrize(("starting_s", "now"), [(60.0, StateType.RUNNING), (0.0, StateType.CRASHED)])
def test_on_a_joined_server_a_run_may_be_on_another_host_whatever_workers_are_known(
    starting_s: float, now: StateType, client: SyncPrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has just begun is left alone; later, one without heartbeat is not."""
    monkeypatch.setattr("mvideo.deployments._reap.STARTING_S", starting_s)
    run = client.create_flow_run(idle, tags=[TAG]).id
    client.set_flow_run_state(run, Running(), force=True)
    (tmp_path / "company.yaml").write_text(f"{{server: false, api_url: '{client.api_url}', pool: unheard-of}}")
    app(["reap", "-e", str(tmp_path / "company.yaml"), "--state", str(tmp_path)], standalone_mode=False)
    assert kind(client, run) == now


def test_runs_and_tasks_beyond_the_first_page_are_corrected_and_retried(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mvideo.deployments._pages.PAGE", 2)
    flow_id = client.create_flow_from_name("idle")
    deployment = client.create_deployment(flow_id, "many", tags=[TAG])
    runs = {client.create_flow_run_from_deployment(deployment, state=Running()).id for _ in range(5)}
    tasks = [client.create_task_run(step, run, dynamic_key=str(n), state=Running()).id for run in runs for n in (0, 1)]
    found = reap(client, silent_s=90, elsewhere=False, starting=False)
    assert {entry.run.id for entry in found} == runs
    assert {client.read_task_run(task).state_type for task in tasks} == {StateType.CRASHED}
    assert {run.id for run in retry_crashed(client, max_runs=9)} == runs
    assert {kind(client, run) for run in runs} == {StateType.SCHEDULED}


@pytest.mark.parametrize("command", ["reap", "register"])
def test_without_a_server_it_is_one_line(command: str, tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"no server responds at http://127\.0\.0\.1:0/api; start it with `mvideo server up`, or "
    ):
        app([command, "--state", str(tmp_path)], standalone_mode=False)


def test_a_worker_host_leaves_the_heartbeat_limit_of_the_server_alone(client: SyncPrefectClient) -> None:
    def limit_s() -> float:
        [automation] = client.read_automations_by_name(AUTOMATION)
        return automation.trigger.within.total_seconds()  # type: ignore[union-attr]

    set_up(client, Environment(silent_s=120))
    set_up(client, Environment(server=False, silent_s=300), keep_automation=True)
    assert limit_s() == 120
    set_up(client, Environment(server=False, silent_s=300))
    assert limit_s() == 300
    client.delete_automation(client.read_automations_by_name(AUTOMATION)[0].id)
    set_up(client, Environment(server=False, silent_s=300), keep_automation=True)
    assert limit_s() == 300
