"""A server that another team has: its server, its pool, its worker and its runs, and ours beside them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Cancelling, Crashed, Pending, Running

from mvideo.deployments._ports import free_port
from mvideo.deployments._processes import live_flow_runs, python_module
from mvideo.deployments._setup import AUTOMATION
from mvideo_core.processes import sandbox
from tests.e2e.harness import Trial, kill, until
from tests.e2e.test_process_deaths import Toy
from tests.reference import REPOSITORY

SILENT_S = 90
OURS = """
server: false
api_url: {url}
silent_s: {silent_s}
poll_s: 0.5
workers:
  - {{name: all, queues: [orchestrate, cpu, gpu, train], runs: 4, gpu: none}}
"""


class Company(NamedTuple):
    """Address of the server, and the ids of the other team's runs by what has become of them."""

    url: str
    runs: dict[str, UUID]

    def client(self) -> SyncPrefectClient:
        """A client of the server."""
        return SyncPrefectClient(self.url)

    def snapshot(self) -> dict[str, object]:
        """All that must not change: states and counts of the runs, who works for them, their deployment and pool."""
        with self.client() as client:
            runs = {name: client.read_flow_run(run) for name, run in self.runs.items()}
            deployment = client.read_deployment_by_name("neighbor/neighbor")
            pool = client.read_work_pool("theirs")
            return {
                "states": {name: (run.state and run.state.id, run.state_name) for name, run in runs.items()},
                "starts": {name: run.run_count for name, run in runs.items()},
                "alive": {name for name, run in self.runs.items() if str(run) in live_flow_runs()},
                "workers": [worker.name for worker in client.read_workers_for_work_pool("theirs")],
                "deployment": (deployment.id, deployment.tags, deployment.paused, deployment.job_variables),
                "pool": (pool.id, pool.is_paused, pool.concurrency_limit, pool.base_job_template),
                "limits": client.read_concurrency_limits(limit=10, offset=0),
                "automations": [one.name for one in client.read_automations() if one.name != AUTOMATION],
            }


@contextmanager
def prefect_process(words: Sequence[str], folder: Path, **variables: str) -> Iterator[None]:
    """`prefect WORDS`, plain: with none of our settings, in another folder; it dies with this process at the latest."""
    folder.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MVIDEO_"))}
    environment |= {"PREFECT_HOME": str(folder / "home"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", **variables}
    with (folder / f"{words[0]}.log").open("ab") as log:
        argv = sandbox.guard_argv(python_module("prefect", *words), sandbox.Limits())
        process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    """The other team: a run that works, one with Prefect's own heartbeat (every 180 s, rarer than ours may be silent),
    one that is called Crashed while it works, and three without a process.
    """
    port = free_port(0)
    url = f"http://127.0.0.1:{port}/api"
    with ExitStack() as held:
        held.enter_context(prefect_process(["server", "start", "--port", str(port)], tmp_path / "company"))
        until(lambda: _answers(url), 300, lambda: "no server", every_s=0.5)
        words = ["worker", "start", "--pool", "theirs", "--type", "process"]
        held.enter_context(prefect_process(words, tmp_path / "company", PREFECT_API_URL=url))
        company = Company(url, {})
        with company.client() as client:
            until(lambda: any(pool.name == "theirs" for pool in client.read_work_pools()), 120, lambda: "no pool")
            here = {"prefect.deployments.steps.set_working_directory": {"directory": str(REPOSITORY)}}
            deployment = client.create_deployment(
                client.create_flow_from_name("neighbor"), "neighbor", entrypoint="tests/e2e/toy_flow.py:neighbor",
                pull_steps=[here], work_pool_name="theirs", parameters={"seconds": 3600.0}, tags=["theirs"],
                job_variables={"env": {"PYTHONPATH": str(REPOSITORY)}},
            )  # fmt: skip
            often = {"env": {"PYTHONPATH": str(REPOSITORY), "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}}
            for name, variables in (("running", often), ("slow", {}), ("crashed", {})):
                company.runs[name] = client.create_flow_run_from_deployment(deployment, job_variables=variables).id
            for name, state in (("lost", Running()), ("stuck", Pending()), ("stopping", Cancelling())):
                company.runs[name] = client.create_flow_run_from_deployment(deployment, state=Pending()).id
                client.set_flow_run_state(company.runs[name], state, force=True)
            alive = [company.runs[name] for name in ("running", "slow", "crashed")]
            until(lambda: {client.read_flow_run(run).state_name for run in alive} == {"Running"}, 240, lambda: "no run")
            client.set_flow_run_state(company.runs["crashed"], Crashed(message="theirs"), force=True)
        yield company


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False


@pytest.mark.slow
def test_nothing_of_another_team_changes_whatever_we_do_on_its_server(company: Company, tmp_path: Path) -> None:
    ours = tmp_path / "ours.yaml"
    ours.write_text(OURS.format(url=company.url, silent_s=SILENT_S))
    before = company.snapshot()
    assert before["alive"] == {"running", "slow", "crashed"}
    with Trial(tmp_path / "stack", str(ours), deploy=False) as trial:
        for entrypoint in ("toy", "only_a", "only_b"):
            trial.register(f"tests/e2e/toy_flow.py:{entrypoint}")
        stages = (("up", _up), ("cancel", _cancel), ("kill", _kill), ("reap", _reap), ("silence", _silence))
        for name, act in stages:
            folder = tmp_path / name
            folder.mkdir()
            act(trial, folder)
            assert company.snapshot() == before, name
    assert company.snapshot() == before, "down"


def _up(trial: Trial, folder: Path) -> None:
    trial.stack.register(deploy=False)
    trial.stack.up(deploy=False)


def _cancel(trial: Trial, folder: Path) -> None:
    toy = Toy(trial, folder)
    toy.under_way()
    with trial.stack.client() as client:
        client.set_flow_run_state(toy.run, Cancelling())
    assert trial.wait(toy.run, 240) == "CANCELLED"


def _kill(trial: Trial, folder: Path) -> None:
    """Worker and engine die; `watch` brings them back, and the run ends."""
    toy = Toy(trial, folder)
    toy.under_way()
    for pid in trial.workers() + trial.engines(toy.run):
        kill(pid)
    deadline = time.monotonic() + 600

    def over() -> bool:
        return trial.read(toy.run).state_name in ("Completed", "Failed") or time.monotonic() > deadline

    trial.stack.watch(max_runs=5, every_s=0.5, until=over)
    assert trial.read(toy.run).state_name == "Completed", trial.tail()


def _reap(trial: Trial, folder: Path) -> None:
    command = [sys.executable, "-m", "mvideo_core.cli.main", "server", "reap", "--retry", "--state"]
    done = subprocess.run([*command, str(trial.stack.folder)], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def _silence(trial: Trial, folder: Path) -> None:
    """Longer than our runs may be silent: theirs have heartbeats every 180 s, or none, and none is judged by it."""
    time.sleep(SILENT_S + 15)
