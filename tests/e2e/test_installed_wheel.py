"""The wheel on a company's server: no checkout, Prefect's own server and worker, commands typed in other folders."""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun

from mvideo.deployments._ports import free_port
from mvideo.deployments.names import deployment_names
from mvideo_core.store.workspace import Workspace
from tests.e2e.conftest import Material
from tests.e2e.harness import until
from tests.e2e.test_train_mvideo import BASE, TINY
from tests.packaging.built import Installed, build_wheel, install
from tests.reference import REPOSITORY

pytestmark = pytest.mark.slow

DATA, TRAIN = "build-mask-dataset/build-mask-dataset", "train-mvideo/train-mvideo"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    return install(build_wheel(folder / "wheel"), folder)


class Company(NamedTuple):
    """A server that was there before us, with a plain worker; `desk` is where commands are typed."""

    installed: Installed
    url: str
    desk: Path
    logs: Path

    def run(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return self.installed.run(*words, cwd=self.desk, PREFECT_API_URL=self.url, **more)

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self.url)

    def lines(self, run: FlowRun) -> list[str]:
        """Lines of the run's Logs tab."""
        own = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))
        with self.client() as client:
            return [f"{line.name}: {line.message}" for line in client.read_logs(own, limit=200)]

    def newest(self) -> FlowRun:
        with self.client() as client:
            return max(client.read_flow_runs(), key=lambda run: str(run.created))

    def tail(self) -> str:
        return "\n".join(log.read_text()[-6000:] for log in sorted(self.logs.glob("*.log")))


@pytest.fixture(scope="module")
def company(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    port = free_port(0)
    there = Company(installed, f"http://127.0.0.1:{port}/api", folder / "desk", folder / "logs")
    for name in ("desk", "logs", "worker"):
        (folder / name).mkdir()
    settings = installed.environment(PREFECT_SERVER_ANALYTICS_ENABLED="false", PREFECT_PLUGINS_ENABLED="1")
    processes = [started(there, folder, "server", "start", "--port", str(port), settings=settings)]
    try:
        until(lambda: answers(there.url), 300, there.tail)
        environment = {"server": False, "api_url": there.url, "pool": "company"}
        (there.desk / "company.yaml").write_text(json.dumps(environment))
        done = there.run("mvideo", "server", "register", "--environment", "company.yaml")
        assert done.returncode == 0, done.stdout + done.stderr
        settings = {**settings, "PREFECT_API_URL": there.url}
        processes.append(started(there, folder / "worker", "worker", "start", "--pool", "company", settings=settings))
        yield there
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def started(there: Company, cwd: Path, *words: str, settings: dict[str, str]) -> "subprocess.Popen[bytes]":
    with (there.logs / f"{words[0]}.log").open("wb") as log:
        return subprocess.Popen(
            [str(there.installed.bin / "prefect"), *words],
            cwd=cwd, env=settings, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_checkout_is_out_of_sight_and_no_foreign_name_is_taken(installed: Installed, tmp_path: Path) -> None:
    assert installed.added == {"mvideo", "mvideo_core"}
    code = (
        "import importlib.util as u, mvideo.flows.stages as f, mvideo_core.curation.pipeline as p, sys\n"
        "print(f.__file__, p.PROFILES, [u.find_spec(n) for n in ('flows', 'tasks', 'deployments', 'tests')], sys.path)"
    )
    done = installed.run("python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(REPOSITORY / "mvideo") not in done.stdout
    assert f"{installed.bin.parent}/lib" in done.stdout
    assert "[None, None, None, None]" in done.stdout


def test_deployments_go_to_the_companys_pool_and_hold_no_path(company: Company) -> None:
    with company.client() as client:
        found = {one.name: one for one in client.read_deployments()}
    assert set(found) == set(deployment_names())
    for one in found.values():
        assert one.work_pool_name == "company"
        assert not one.pull_steps
        assert one.path in (None, "", ".")
        assert str(one.entrypoint).startswith("mvideo.flows.")


def test_the_literal_command_makes_a_dataset(company: Company, material: Material, tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    values: dict[str, Any] = {"workspace": str(workspace), "source": {"folder": str(material.videos)}}
    values["profile"] = str(material.profile)
    done = company.run("prefect", "deployment", "run", DATA, "--watch", "--params", json.dumps(values))
    assert done.returncode == 0, done.stdout + done.stderr + company.tail()
    pointer = Workspace(str(workspace)).pointer("dataset")
    assert pointer is not None
    assert pointer["digest"] == material.digest
    run = company.newest()
    root = f"relative paths count from {company.installed.home / 'mvideo'} (MVIDEO_ROOT is not set)"
    until(lambda: f"mvideo.flows._root: {root}" in company.lines(run), 60, lambda: "\n".join(company.lines(run)))
    assert any(line.startswith("mvideo_core.engine.part: cut part 0: ") for line in company.lines(run))


def test_the_literal_command_trains(company: Company, material: Material, tmp_path: Path) -> None:
    values = {
        "workspace": str(material.workspace), "out": str(tmp_path / "out"), "profile": "mini",
        "overrides": TINY | {"steps": 2}, "latents": {"base": BASE, "max_stretch": 1.0},
    }  # fmt: skip
    done = company.run("prefect", "deployment", "run", TRAIN, "--watch", "--params", json.dumps(values))
    assert done.returncode == 0, done.stdout + done.stderr + company.tail()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["finished"] is True


def test_the_demos_data_half_brings_up_its_own_stack(installed: Installed) -> None:
    """In the folder that relative paths of runs count from, so that the next test finds what it made."""
    root = installed.home / "mvideo"
    root.mkdir(exist_ok=True)
    words = ("-m", "mvideo.deployments.demo", "--data-only", "--videos", "1", "--port", "0")
    done = installed.run("python", *words, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "make demo: done in" in done.stdout
    assert json.loads((root / "build" / "demo.json").read_text())["stages"]["shard"]["ok"] >= 1


def test_the_bare_command_works_on_relative_paths_below_the_root(company: Company) -> None:
    """By the short name, which the startup hook allows; everything is in the demo's workspace already."""
    root = company.installed.home / "mvideo"
    before = Workspace(str(root / "build" / "demo" / "workspace")).pointer("dataset")
    bare = company.run("prefect", "deployment", "run", "build-mask-dataset", "--watch", PREFECT_PLUGINS_ENABLED="1")
    assert bare.returncode == 0, bare.stdout + bare.stderr + company.tail()
    run = company.newest()
    assert run.parameters["workspace"] == "build/demo/workspace"
    with company.client() as client:
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        names = [task.name for task in client.read_task_runs(flow_run_filter=mine)]
    assert "detect part 0 (reused)" in names
    assert before is not None
    assert Workspace(str(root / "build" / "demo" / "workspace")).pointer("dataset") == before
    assert list(company.desk.iterdir()) == [company.desk / "company.yaml"]


def test_a_crash_leaves_no_traceback_in_the_workers_log(company: Company, material: Material, tmp_path: Path) -> None:
    values = {"workspace": str(tmp_path / "ws"), "source": {"folder": str(material.videos)}}
    asked = company.run("prefect", "deployment", "run", DATA, "--params", json.dumps(values))
    assert asked.returncode == 0, asked.stdout + asked.stderr
    run = company.newest()
    until(lambda: any(line.startswith("mvideo.flows._root: ") for line in company.lines(run)), 120, company.tail)
    log = company.logs / "worker.log"
    seen = log.stat().st_size
    for pid in engines(str(run.id)):
        os.kill(pid, signal.SIGKILL)
    until(lambda: "prefect.flow_runs.worker - Check whether" in log.read_text()[seen:], 120, company.tail)
    assert "Failed to initialize plugins" not in log.read_text()
    assert "Traceback" not in log.read_text()


def engines(run_id: str) -> list[int]:
    """Processes that work for a run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"PREFECT__FLOW_RUN_ID={run_id}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def test_plain_prefect_deploy_works_once_its_pool_is_made(company: Company) -> None:
    deploy = ("prefect", "--no-prompt", "deploy", "--all")
    refused = company.installed.run(*deploy, cwd=REPOSITORY, PREFECT_API_URL=company.url)
    assert refused.returncode != 0
    assert "work pool 'mvideo' which does not exist" in " ".join((refused.stdout + refused.stderr).split())
    (command,) = re.findall(r"#   (prefect work-pool create .*)", (REPOSITORY / "prefect.yaml").read_text())
    made = company.run(*command.split())
    assert made.returncode == 0, made.stdout + made.stderr
    done = company.installed.run(*deploy, cwd=REPOSITORY, PREFECT_API_URL=company.url)
    assert done.returncode == 0, done.stdout + done.stderr
    with company.client() as client:
        found = client.read_deployments()
    assert {one.work_pool_name for one in found} == {"mvideo"}
    assert not any(one.pull_steps for one in found)
