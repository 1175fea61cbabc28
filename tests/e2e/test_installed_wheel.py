"""The wheel on a company's server: no checkout, Prefect's own server and worker, commands typed in other folders."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun

from mvideo.deployments._ports import free_port
from mvideo.deployments.names import DEPLOYMENTS
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
        "import importlib.util as u, mvideo.flows.cut as f, mvideo_core.pipeline as p, sys\n"
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
    assert set(found) == set(DEPLOYMENTS)
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
    assert any(line.startswith("mvideo_core.stages.part: cut part 0: ") for line in company.lines(run))


def test_the_literal_command_trains(company: Company, material: Material, tmp_path: Path) -> None:
    values = {
        "workspace": str(material.workspace), "out": str(tmp_path / "out"), "profile": "mini",
        "overrides": TINY | {"steps": 2}, "latents": {"base": BASE, "max_stretch": 1.0},
    }  # fmt: skip
    done = company.run("prefect", "deployment", "run", TRAIN, "--watch", "--params", json.dumps(values))
    assert done.returncode == 0, done.stdout + done.stderr + company.tail()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["finished"] is True


def test_the_bare_command_works_on_relative_paths_below_the_root(company: Company) -> None:
    """What `make demo` begins with, by the short name that the startup hook allows."""
    root = company.installed.home / "mvideo"
    drawn = company.run("mvideo", "world", "make", str(root / "build" / "demo" / "videos"), "--videos", "1")
    assert drawn.returncode == 0, drawn.stderr
    bare = company.run("prefect", "deployment", "run", "build-mask-dataset", "--watch", PREFECT_PLUGINS_ENABLED="1")
    assert bare.returncode == 0, bare.stdout + bare.stderr + company.tail()
    assert Workspace(str(root / "build" / "demo" / "workspace")).pointer("dataset") is not None
    assert company.newest().name
    assert list(company.desk.iterdir()) == [company.desk / "company.yaml"]


def test_the_workers_log_holds_no_traceback(company: Company) -> None:
    time.sleep(1)
    text = (company.logs / "worker.log").read_text()
    assert "Failed to initialize plugins" not in text
    assert "Traceback" not in text


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


def test_the_demos_data_half_brings_up_its_own_stack(installed: Installed, tmp_path: Path) -> None:
    words = ("-m", "mvideo.deployments.demo", "--data-only", "--videos", "1", "--port", "0")
    done = installed.run("python", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "make demo: done in" in done.stdout
    assert json.loads((tmp_path / "build" / "demo.json").read_text())["stages"]["shard"]["ok"] >= 1
