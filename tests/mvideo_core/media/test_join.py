"""Joining mp4 parts: every frame once, in order, at the right time."""

from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.media.decode import read_clip
from mvideo_core.media.encode import write_mp4
from mvideo_core.media.join import join_mp4


def _part(path: Path, greys: range) -> Path:
    write_mp4((np.full((32, 48, 3), 8 * grey, np.uint8) for grey in greys), path, 8.0)
    return path


def test_frames_of_all_parts_follow_each_other(tmp_path: Path) -> None:
    import av

    parts = [_part(tmp_path / "a.mp4", range(0, 9)), _part(tmp_path / "b.mp4", range(9, 17)),
             _part(tmp_path / "c.mp4", range(17, 25))]  # fmt: skip
    join_mp4(parts, tmp_path / "all.mp4", 8.0, 25)
    greys = read_clip(tmp_path / "all.mp4").mean((1, 2, 3)) / 8
    assert np.abs(greys - np.arange(25)).max() < 0.3
    with av.open(str(tmp_path / "all.mp4")) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
        assert float(container.duration / 1e6) == pytest.approx(25 / 8, abs=0.01)
    assert np.allclose(np.diff(times), 1 / 8)


def test_a_missing_frame_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="9 frames in the parts, 10 expected"):
        join_mp4([_part(tmp_path / "a.mp4", range(9))], tmp_path / "all.mp4", 8.0, 10)
