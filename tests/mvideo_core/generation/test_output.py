"""The folder of one video: kept over kills, never mixed with another request's."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.generation.output import OutputFolder
from mvideo_core.media.decode import read_clip

ALL, AFTER_SHARED = slice(0, None), slice(1, None)


def _clip(first: int) -> dict[str, np.ndarray]:
    return {"frames": np.stack([np.full((32, 48, 3), 10 * (first + t), np.uint8) for t in range(9)])}


def test_clips_join_with_the_shared_frame_shown_once(tmp_path: Path) -> None:
    output = OutputFolder(tmp_path, "request")
    output.add(_clip(0), ALL, 8.0, 14, {"seed": 1})
    output.add(_clip(8), AFTER_SHARED, 8.0, 14, {"seed": 2})
    greys = read_clip(output.finish(8.0)).mean((1, 2, 3)) / 10
    assert len(greys) == 17
    assert np.abs(greys - np.arange(17)).max() < 0.3


@pytest.mark.parametrize("killed", ["before the note", "after the note"])
def test_a_kill_around_the_note_leaves_frames_that_fit_it(tmp_path: Path, killed: str) -> None:
    output = OutputFolder(tmp_path / "a", "request")
    output.add(_clip(0), ALL, 8.0, 14, {})
    before = tmp_path / "b"
    shutil.copytree(tmp_path / "a", before)
    output.add(_clip(8), AFTER_SHARED, 8.0, 14, {})
    after = tmp_path / "a" / "clips" / "last.npz"
    shutil.copy(after, before / "clips" / "next.npz")  # the moment between the two replacements
    if killed == "after the note":
        shutil.copy(tmp_path / "a" / "clips" / "done.json", before / "clips" / "done.json")
    again = OutputFolder(before, "request")
    assert again.n_clips == (2 if killed == "after the note" else 1)
    assert np.array_equal(again.last_clip()["frames"], _clip(8 if killed == "after the note" else 0)["frames"])


def test_a_folder_holds_one_request(tmp_path: Path) -> None:
    OutputFolder(tmp_path, "one").add(_clip(0), ALL, 8.0, 14, {})
    with pytest.raises(ConfigError, match="different request"):
        OutputFolder(tmp_path, "two")
    fresh = OutputFolder(tmp_path, "two", overwrite=True)
    assert fresh.n_clips == 0
    assert not fresh.clip(0).exists()
