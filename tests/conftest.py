"""Fixtures of the whole suite."""

from collections.abc import Iterator

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under pytest-xdist (`--dist loadgroup`): a file stays in one process, and so do all tests of one server."""
    for item in items:
        name = item.nodeid.split("::")[0]
        shared = "prefect_server" in getattr(item, "fixturenames", ())
        group = "e2e" if name.startswith("tests/e2e/") else "prefect_server" if shared else name
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One temporary Prefect server for all engine tests; it alone costs many seconds."""
    from prefect.settings import (
        PREFECT_SERVER_ANALYTICS_ENABLED,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    calm = {PREFECT_SERVER_ANALYTICS_ENABLED: False, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 300}
    with temporary_settings(updates=calm), prefect_test_harness(server_startup_timeout=300):
        yield
