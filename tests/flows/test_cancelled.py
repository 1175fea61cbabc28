"""Runs that begin or end while their cancel is on its way, in real engine processes without a worker that kills."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelling, Pending

from tests.flows.ends_by_itself import ends_by_itself

FLOW = f"{Path(__file__).with_name('ends_by_itself.py')}:ends_by_itself"
WORKER = "import subprocess, sys; subprocess.run(sys.argv[1:])"
"""The engine's parent, which a test can kill."""


@pytest.fixture
def client(prefect_server: None) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def engine(run: UUID, killed_within_s: float, parent: bool = False) -> "subprocess.Popen[str]":
    """The process that a worker starts for a run."""
    command = [sys.executable, "-m", "prefect.engine", str(run)]
    environment = os.environ | {
        "PREFECT_API_URL": PREFECT_API_URL.value() or "",
        "PREFECT__FLOW_RUN_ID": str(run),
        "PREFECT__FLOW_ENTRYPOINT": FLOW,
        "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",
        "KILLED_WITHIN_S": str(killed_within_s),
    }
    words = [sys.executable, "-c", WORKER, *command] if parent else command
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def state(client: SyncPrefectClient, run: UUID) -> str:
    found = client.read_flow_run(run).state
    return found.type.value if found else ""


def until_cancelling(client: SyncPrefectClient, run: UUID, process: "subprocess.Popen[str]") -> None:
    """Wait until the flow has asked for its cancel and has had time to fail as unfinished."""
    while state(client, run) != "CANCELLING":
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)


def test_a_run_that_ends_after_its_cancel_is_cancelled(client: SyncPrefectClient) -> None:
    run = client.create_flow_run(ends_by_itself, state=Pending()).id
    said, _ = engine(run, killed_within_s=1).communicate(timeout=120)
    assert "Finished in state Cancelling()" in said
    assert state(client, run) == "CANCELLED"


def test_a_run_that_was_cancelled_before_it_began_is_cancelled(client: SyncPrefectClient) -> None:
    run = client.create_flow_run(ends_by_itself, state=Pending()).id
    client.set_flow_run_state(run, Cancelling(), force=True)
    said, _ = engine(run, killed_within_s=1).communicate(timeout=120)
    assert "UnfinishedRun" in said
    assert state(client, run) == "CANCELLED"


def test_a_process_that_the_worker_ends_leaves_the_state_to_it(client: SyncPrefectClient) -> None:
    """Its hooks come first; a state set early would be taken back from a run that is retried in between."""
    run = client.create_flow_run(ends_by_itself, state=Pending()).id
    process = engine(run, killed_within_s=60)
    until_cancelling(client, run, process)
    time.sleep(2)
    assert process.poll() is None  # waits
    process.terminate()
    process.communicate(timeout=20)
    assert state(client, run) == "CANCELLING"


def test_without_its_worker_it_is_cancelled_at_once(client: SyncPrefectClient) -> None:
    run = client.create_flow_run(ends_by_itself, state=Pending()).id
    worker = engine(run, killed_within_s=60, parent=True)
    until_cancelling(client, run, worker)
    time.sleep(2)
    worker.kill()
    deadline = time.monotonic() + 20
    while state(client, run) != "CANCELLED":
        assert time.monotonic() < deadline
        time.sleep(0.1)
