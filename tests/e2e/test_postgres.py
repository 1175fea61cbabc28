"""The server on PostgreSQL, as docs/operations.md connects it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from mvideo.deployments._ports import free_port
from tests.e2e.harness import ENVIRONMENT, Trial, until
from tests.e2e.test_process_deaths import Toy


def binary(name: str) -> str | None:
    """A program of PostgreSQL, also from where Debian keeps it."""
    packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(packaged[-1]) if packaged else None)


MISSING = "initdb, postgres, createdb or psql is not on this machine"


def installed() -> bool:
    """Whether PostgreSQL's programs are on this machine."""
    return all(binary(name) for name in ("initdb", "postgres", "createdb", "psql"))


def unprivileged() -> list[str]:
    """Words before a command of PostgreSQL, which refuses to run as root."""
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]


@contextmanager
def running_postgres(prefix: Sequence[str] = ()) -> Iterator[tuple[str, int]]:
    """A running PostgreSQL with a database "prefect", which ends with the block.

    Args:
        prefix: words before each command, to run it on another host.

    Yields:
        Folder of its socket, and its port on 127.0.0.1.
    """
    folder = Path(tempfile.mkdtemp(prefix="mvideo-postgres-"))
    first = [*prefix, *unprivileged()]
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        data, port = str(folder / "data"), free_port(0)
        made = [*first, str(binary("initdb")), "-D", data, "-U", "prefect", "--auth=trust", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder)
        listen = ["-k", str(folder), "-h", "127.0.0.1", "-p", str(port)]
        with (folder / "log").open("wb") as log:
            argv = [*first, str(binary("postgres")), "-D", data, *listen]
            server = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log)
        try:
            reach = [*first, str(binary("createdb")), "-h", str(folder), "-p", str(port), "-U", "prefect", "prefect"]
            until(
                lambda: subprocess.run(reach, cwd=folder, capture_output=True, check=False).returncode == 0,
                60, lambda: (folder / "log").read_text(),
            )  # fmt: skip
            yield str(folder), port
        finally:
            server.terminate()
            server.wait(30)
    finally:
        shutil.rmtree(folder)


def ask(folder: str, port: int, query: str) -> list[list[str]]:
    """Rows of a query on the database "prefect"."""
    argv = [
        *unprivileged(),
        str(binary("psql")),
        "-h",
        folder,
        "-p",
        str(port),
        "-U",
        "prefect",
        "-Atc",
        query,
        "prefect",
    ]
    found = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=folder)
    return [line.split("|") for line in found.stdout.splitlines()]


@pytest.fixture
def database() -> Iterator[tuple[str, int]]:
    """Folder of the socket and port of a running PostgreSQL."""
    if not installed():
        pytest.skip(MISSING)
    with running_postgres() as found:
        yield found


@pytest.mark.slow
def test_runs_and_their_deaths_on_postgresql(database: tuple[str, int], tmp_path: Path) -> None:
    folder, port = database
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
        assert ask(folder, port, "select state_type from flow_run") == [["COMPLETED"]]
