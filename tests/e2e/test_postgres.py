"""The server on PostgreSQL, as docs/operations.md connects it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mvideo.deployments._ports import free_port
from tests.e2e.harness import ENVIRONMENT, Trial, until
from tests.e2e.test_process_deaths import Toy


def binary(name: str) -> str | None:
    """A program of PostgreSQL, also from where Debian keeps it."""
    packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(packaged[-1]) if packaged else None)


def another_user() -> dict[str, Any]:
    """For subprocess: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


@pytest.fixture
def database() -> Iterator[tuple[str, int]]:
    """Folder of the socket and port of a running PostgreSQL with a database "prefect"."""
    initdb, postgres, createdb = (binary(name) for name in ("initdb", "postgres", "createdb"))
    if not (initdb and postgres and createdb and binary("psql")):
        pytest.skip("initdb, postgres, createdb or psql is not on this machine")
    user = another_user()
    folder = Path(tempfile.mkdtemp(prefix="mvideo-postgres-"))
    try:
        if user:
            os.chown(folder, user["user"], user["group"])
        data, port = str(folder / "data"), free_port(0)
        made = [initdb, "-D", data, "-U", "prefect", "--auth=trust", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **user)
        argv = [postgres, "-D", data, "-k", str(folder), "-h", "127.0.0.1", "-p", str(port)]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log, **user)
        try:
            reach = ["-h", "127.0.0.1", "-p", str(port), "-U", "prefect"]
            until(
                lambda: subprocess.run([createdb, *reach, "prefect"], capture_output=True, check=False).returncode == 0,
                60, lambda: (folder / "log").read_text(),
            )  # fmt: skip
            yield str(folder), port
        finally:
            server.terminate()
            server.wait(30)
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
def test_runs_and_their_deaths_on_postgresql(database: tuple[str, int], tmp_path: Path) -> None:
    _, port = database
    values = yaml.safe_load(Path(ENVIRONMENT).read_text())
    url = f"postgresql+asyncpg://prefect:unused@127.0.0.1:{port}/prefect"
    values["settings"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = url
    environment = tmp_path / "postgres.yaml"
    environment.write_text(yaml.safe_dump(values))
    with Trial(tmp_path / "stack", str(environment), deploy=False) as trial:
        for entrypoint in ("toy", "only_a", "only_b"):
            trial.register(f"tests/e2e/toy_flow.py:{entrypoint}")
        toy = Toy(trial, tmp_path)
        toy.under_way()
        for pid in trial.workers() + trial.engines(toy.run):
            os.kill(pid, 9)
        trial.stack.up(deploy=False)  # judges the run whose process is gone
        assert trial.wait(toy.run, 60) == "CRASHED"
        trial.retry(toy.run)
        assert trial.wait(toy.run, 600, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()
        toy.check(deaths=1)
        asked = ["-h", "127.0.0.1", "-p", str(port), "-U", "prefect", "-Atc", "select state_type from flow_run"]
        found = subprocess.run([str(binary("psql")), *asked, "prefect"], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["COMPLETED"]
