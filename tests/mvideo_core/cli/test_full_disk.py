"""Commands as real processes on a disk that is soon full: one line each, and no half-written file stays on it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml

from mvideo_core.curation.stages.publish import first_sample
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.masks import encode
from mvideo_core.store.workspace import Workspace
from tests.e2e.tiny import draw_videos, write_models, write_profile
from tests.fixtures.drawn_latents import draw_latents
from tests.mvideo_core.training.conftest import TINY
from tests.mvideo_core.training.latents.drawn import dataset
from tests.small_disk import names, small_disk

PLENTY_BYTES = 40 << 20


class Case(NamedTuple):
    """A command; DISK is the disk, WS a copy of the workspace on it, and these words come from `place`.

    Attributes:
        free_kib: left on the disk when the command starts.
        tmpdir: TMPDIR is the disk.
    """

    command: str
    free_kib: int
    tmpdir: bool = False


FAST = {
    "preview": Case("masks preview NOISE DISK/sheet.png --side 1000", 16),
    "edit": Case("masks edit NOISE DISK/edited.masks --op mirror", 4),
    "extract": Case("dataset extract DATASET KEY --out DISK/sample", 16),
    "shard": Case("stage shard -w WS -s shard.samples_per_shard=1", 16),
    "report, temporary files": Case("stage report -w ORIGINAL", 8, tmpdir=True),
    "run": Case("run -w DISK/run --folder VIDEOS -p PROFILE", 64),
}
SLOW = {
    "preview video": Case("masks preview NOISE DISK/video.mp4", 4),
    "pictures": Case("masks convert NOISE DISK/pictures/", 64),
    "testset": Case("testset mask-to-video -w ORIGINAL --out DISK/set", 4),
    "plan": Case("plan -w DISK/new --folder VIDEOS", 8),
    "shard, temporary files": Case("stage shard -w ORIGINAL -s shard.samples_per_shard=2", 8, tmpdir=True),
    "report": Case("stage report -w WS", 16),
    "world": Case("world make DISK/world --videos 1 --shots 1", 64),
    "generate": Case("generate --out DISK/video --prompt kite --base random:tiny-sincos --steps 1 --seconds 2", 16),
    "encode": Case("encode -w WS --weights random:tiny-sincos", 150),
    "train": Case("train run DISK/run --latents LATENTS -o TRAIN -p mini", 100),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the commands read, by the word that is replaced with it."""
    root = tmp_path_factory.mktemp("place")
    (root / "clips").mkdir()
    workspace = Workspace(str(root / "ws"))
    dataset(workspace, root / "clips", {"a": 17, "b": 17, "c": 33, "d": 17})
    noise_TNHW = np.random.default_rng(0).random((33, 2, 48, 64)) > 0.5
    save_masks(root / "noise.masks", encode(np.kron(noise_TNHW, np.ones((1, 1, 8, 8), bool))), 8, ("dog", "cat"))
    draw_videos(root / "videos", 2)
    write_profile(root / "profile.yaml", write_models(root / "models"))
    (root / "train.yaml").write_text(yaml.safe_dump(TINY))
    folder, key = first_sample(workspace).split("#")
    return {
        "ORIGINAL": str(root / "ws"), "DATASET": folder, "KEY": key, "NOISE": str(root / "noise.masks"),
        "VIDEOS": str(root / "videos"), "PROFILE": str(root / "profile.yaml"), "TRAIN": str(root / "train.yaml"),
        "LATENTS": str(root / "latents"),
    }  # fmt: skip


def check(case: Case, place: dict[str, str], tmp_path: Path) -> None:
    """Run the command on its disk; it ends with one line about the disk, and leaves whole files only."""
    with small_disk(tmp_path / "disk", str(PLENTY_BYTES)) as disk:
        words = place | {"WS": f"{disk}/ws"}
        if "WS" in case.command.split():
            shutil.copytree(place["ORIGINAL"], disk / "ws")
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 1024 * case.free_kib))
        before = names(disk)
        arguments = [words.get(word, word.replace("DISK", str(disk))) for word in case.command.split()]
        done = subprocess.run(
            [sys.executable, "-m", "mvideo_core.cli.main", *arguments],
            capture_output=True, text=True, check=False,
            env=os.environ | ({"TMPDIR": str(disk)} if case.tmpdir else {}),
        )  # fmt: skip
        new = set(names(disk)) - set(before)
    assert done.returncode == 1, done.stderr
    *log, line = done.stderr.strip().splitlines()
    assert line.startswith("StoreError: "), done.stderr
    assert "No space left on device" in line or " free in " in line
    assert "the disk:" not in line, "the place is named"
    assert not [one for one in log if not one[:2].isdigit() and not one.startswith(("clip ", "step "))], done.stderr
    assert not [name for name in new if ".part" in name or "/." in f"/{name}" or name.startswith("mvideo-")], new


@pytest.mark.parametrize("name", FAST)
def test_one_line_and_no_remains(name: str, place: dict[str, str], tmp_path: Path) -> None:
    check(FAST[name], place, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_one_line_and_no_remains_of_models(name: str, place: dict[str, str], tmp_path: Path) -> None:
    if name == "train":
        draw_latents(Path(place["LATENTS"]))
    check(SLOW[name], place, tmp_path)
