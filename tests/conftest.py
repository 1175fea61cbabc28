"""Fixtures of the whole suite."""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_PREFECT = ("tests/flows/", "tests/tasks/", "tests/deployments/", "tests/mvideo_core/doctor/test_checks.py")


class _Groups(LoadScopeScheduling):
    """A file stays in one process, and so do all tests of one Prefect server."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        if file.startswith("tests/e2e/"):
            return "e2e"
        return "prefect_server" if file.startswith(_PREFECT) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """For every `--dist`; the marks of `--dist loadgroup` have no effect with pytest 9.2 and pytest-xdist 3.8."""
    return _Groups(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Import all test files without garbage collection, and exempt what is there then; later, collect less often.

    The imports leave 700,000 objects that stay to the end, and looking through them takes half a second each time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 10, 10)
        gc.enable()


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with Prefect's tables, made once for all processes of the suite; servers start from copies.

    Its migrations take 13 s of CPU time.
    """
    from mvideo_core.base.locks import file_lock

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    home = folder / "prefect-database"
    with file_lock(folder / "prefect-database.lock", wait_s=300):
        if not (home / "ready").exists():
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
            subprocess.run(command, env=environment | {"PREFECT_HOME": str(home)}, check=True, capture_output=True)
            (home / "ready").touch()
    return home / "prefect.db"


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory, prefect_database: Path) -> Iterator[None]:
    """One temporary Prefect server for all engine tests; it alone costs many seconds."""
    from prefect.settings import (
        PREFECT_SERVER_ANALYTICS_ENABLED,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
        temporary_settings,
    )
    from prefect.testing import utilities

    folder = tmp_path_factory.mktemp("prefect-server")
    shutil.copyfile(prefect_database, folder / "prefect-test.db")
    calm = {PREFECT_SERVER_ANALYTICS_ENABLED: False, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 300}
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings(updates=calm),
    ):
        patch.setattr(utilities, "mkdtemp", lambda: str(folder))  # where the harness keeps its database
        with utilities.prefect_test_harness(server_startup_timeout=300):
            yield
