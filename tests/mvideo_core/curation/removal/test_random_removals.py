"""Fifty random removals, each compared with a build that never saw what was removed."""

import random
import shutil
from pathlib import Path

import pytest

from mvideo_core.curation.removal.forget import Removal
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.curation.removal.material import Material, all_text, published_files

N_VIDEOS, TENS = 5, 5


class Builds:
    """A build with all videos, and the bytes of builds that never saw some of them, each built once."""

    def __init__(self, folder: Path):
        self.material = Material(folder, N_VIDEOS)
        self.material.build("all")
        self._known: dict[tuple[int, ...], dict[str, bytes]] = {}

    def without(self, gone: tuple[int, ...]) -> dict[str, bytes]:
        if gone not in self._known:
            name = "without" + "".join(map(str, gone))
            self._known[gone] = published_files(self.material.build(name, gone))
        return self._known[gone]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(tmp_path_factory.mktemp("random"))


@pytest.mark.slow
@pytest.mark.parametrize("ten", range(TENS))
def test_ten_random_removals_leave_what_a_build_without_them_gives(builds: Builds, tmp_path: Path, ten: int) -> None:
    """One to three of five sources, at once or one after another; the part count changes with some of them."""
    draw = random.Random(ten)
    for trial in range(10):
        gone = draw.sample(range(N_VIDEOS), draw.choice((1, 1, 2, 3)))
        names = [f"video{number}" for number in gone]
        shutil.copytree(builds.material.folder / "all", tmp_path / "ws")
        workspace = Workspace(str(tmp_path / "ws"))
        for n, group in enumerate([names] if draw.random() < 0.5 else [[name] for name in names]):
            Removal(workspace, group, str(tmp_path / f"{trial}-{n}.json")).apply(lambda _step: None)
        assert published_files(workspace) == builds.without(tuple(sorted(gone))), f"trial {trial}: without {names}"
        left = all_text(workspace)
        assert not [path for path in left if any(name in path or name in left[path] for name in names)]
        shutil.rmtree(workspace.url)
