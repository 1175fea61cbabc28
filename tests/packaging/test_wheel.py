"""What the wheel holds; it is built in a few seconds."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.built import build_wheel
from tests.reference import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel"))) as wheel:
        yield wheel


def test_its_only_top_level_names_are_ours(wheel: zipfile.ZipFile) -> None:
    found = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in found if not name.endswith(".dist-info")} == {"mvideo", "mvideo_core"}


def files_of(folder: str) -> set[str]:
    """Source and data files below a folder of the repository."""
    found = (path for path in (REPOSITORY / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {
        str(path.relative_to(REPOSITORY)) for path in found if path.suffix != ".md" and "containers" not in path.parts
    }


@pytest.mark.parametrize("folder", ["flows", "tasks", "deployments", "datasets"])
def test_every_file_of_a_folder_is_there(wheel: zipfile.ZipFile, folder: str) -> None:
    there = set(wheel.namelist())
    expected = files_of(folder)
    assert len(expected) > 5
    assert {name for name in expected if f"mvideo/{name}" not in there} == set()


def test_the_core_and_prefect_yaml_are_there(wheel: zipfile.ZipFile) -> None:
    there = set(wheel.namelist())
    assert {name for name in files_of("mvideo_core") if name not in there} == set()
    assert wheel.read("mvideo/prefect.yaml") == (REPOSITORY / "prefect.yaml").read_bytes()


def test_nothing_of_the_tests_is_in_it(wheel: zipfile.ZipFile) -> None:
    names = [Path(name) for name in wheel.namelist()]
    assert [name for name in names if {"tests", "benchmarks", "__pycache__"} & set(name.parts)] == []
