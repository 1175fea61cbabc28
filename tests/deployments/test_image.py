"""The image of deployments/containers, built and started where docker or podman can do it."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from tests.reference import REPOSITORY

pytestmark = pytest.mark.slow
NAME = "mvideo-image-test"
FLOW = """
from pathlib import Path
import mvideo.flows.build_mask_dataset, mvideo.flows._root as root
path = root.root().path / "ws"
path.mkdir()
print(path, path.owner())
"""


def tool() -> str | None:
    """The program that builds images here: docker if its daemon answers, else podman."""
    for name in ("docker", "podman"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
            return name
    return None


def run(*words: str) -> str:
    """Output of one command, which must succeed."""
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def container() -> Iterator[Sequence[str]]:
    """Command that starts the image with an empty volume at /data; both are removed afterwards."""
    found = tool()
    if found is None:
        pytest.skip("neither a docker daemon nor podman is here")
    run(found, "build", "--file", "deployments/containers/Containerfile", "--tag", NAME, ".")
    run(found, "volume", "create", NAME)
    try:
        yield (found, "run", "--rm", "--volume", f"{NAME}:/data", NAME)
    finally:
        run(found, "volume", "rm", NAME)
        run(found, "rmi", NAME)


def test_a_run_in_the_image_imports_its_flow_and_may_write_to_a_new_volume(container: Sequence[str]) -> None:
    assert run(*container, "python", "-c", FLOW) == "/data/ws mvideo"


def test_the_image_has_what_a_worker_and_a_server_need_and_nothing_of_the_checkout_s_environment(
    container: Sequence[str],
) -> None:
    assert run(*container, "prefect", "--version")
    assert "start" in run(*container, "python", "-m", "mvideo.deployments.worker", "--help")
    there = set(run(*container, "ls", "-A", "/opt/mvideo").split())
    assert not there & {".venv", ".git", "tests", "benchmarks"}
