"""Fifty random removals, each compared with a build that never saw what was removed."""

import random
import shutil
from pathlib import Path

import pytest

from mvideo_core.curation.removal.forget import Removal
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.curation.removal.material import Material, all_text, published_files

N_VIDEOS, N_REMOVALS = 5, 50


@pytest.mark.slow
def test_fifty_random_removals_leave_what_a_build_without_them_gives(tmp_path: Path) -> None:
    """One to three of five sources, at once or one after another; the part count changes with some of them."""
    material, draw = Material(tmp_path, N_VIDEOS), random.Random(15)
    material.build("all")
    never_saw: dict[tuple[int, ...], dict[str, bytes]] = {}
    for trial in range(N_REMOVALS):
        gone = draw.sample(range(N_VIDEOS), draw.choice((1, 1, 2, 3)))
        at_once = draw.random() < 0.5
        shutil.copytree(tmp_path / "all", tmp_path / "ws")
        workspace = Workspace(str(tmp_path / "ws"))
        names = [f"video{number}" for number in gone]
        for n, group in enumerate([names] if at_once else [[name] for name in names]):
            Removal(workspace, group, str(tmp_path / f"{trial}-{n}.json")).apply(lambda _step: None)
        without = tuple(sorted(gone))
        if without not in never_saw:
            reference = material.build("reference", without)
            never_saw[without] = published_files(reference)
            shutil.rmtree(reference.url)
            shutil.rmtree(tmp_path / "videos-reference")
        assert published_files(workspace) == never_saw[without], f"trial {trial}: without {names}"
        left = all_text(workspace)
        assert not [path for path in left if any(name in path or name in left[path] for name in names)]
        shutil.rmtree(workspace.url)
