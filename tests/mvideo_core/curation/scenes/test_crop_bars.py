"""Bars of a whole video are cropped before it is cut; keys, rows and times stay what they were."""

from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.records import ClipRow, VideoRow
from mvideo_core.curation.scenes.cut import CutResult, cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.curation.stages.cut import STAGE
from mvideo_core.media.decode import read_clip
from mvideo_core.media.encode import write_mp4
from mvideo_core.store.keys import row_digest, settings_digest

WIDTH, HEIGHT, FPS = 320, 180, 8


def picture(seed: int, width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(60, 220, (-(-height // 10), -(-width // 10), 3))
    return np.kron(blocks, np.ones((10, 10, 1)))[:height, :width].astype(np.uint8)


def video(path: Path, top: int, left: int, bare: int = 0) -> VideoRow:
    """40 frames of a picture that slides by inside bars of these widths; the last `bare` frames have none."""
    wide = picture(1, WIDTH + 100, HEIGHT)
    frames = []
    for t in range(40):
        frame = np.ascontiguousarray(wide[:, 2 * t : 2 * t + WIDTH])
        if t < 40 - bare:
            frame[: top or 0], frame[HEIGHT - top :] = 0, 0
            frame[:, : left or 0], frame[:, WIDTH - left :] = 0, 0
        frames.append(frame)
    write_mp4(frames, path, FPS)
    return VideoRow(key="v", width=WIDTH, height=HEIGHT, fps=FPS, duration_s=5)


def cut(path: Path, row: VideoRow, **options: object) -> tuple[CutResult, list[np.ndarray]]:
    out = path.parent / f"out-{len(options)}"
    out.mkdir()
    small = {"width": 96, "height": 64, "min_shot_s": 1, "min_frames": 17, "max_frames": 33}
    result = cut_video(path, row, out, CutOptions.parse({**small, **options}))
    return result, [read_clip(clip.path) for clip in result.clips]


@pytest.mark.parametrize(("top", "left"), [(24, 0), (0, 110), (18, 32)], ids=["letterbox", "pillarbox", "both"])
def test_bars_are_cropped_and_nothing_is_stretched(tmp_path: Path, top: int, left: int) -> None:
    row = video(tmp_path / "v.mp4", top, left)
    plain, before = cut(tmp_path / "v.mp4", row)
    result, clips = cut(tmp_path / "v.mp4", row, crop_bars=True)
    fractions = (top / HEIGHT, top / HEIGHT, left / WIDTH, left / WIDTH)
    assert result.bars == pytest.approx(fractions, abs=0.015)
    assert all(bar >= drawn for bar, drawn in zip(result.bars, fractions, strict=True))
    assert min(clip.max(axis=(0, 3)).min() for clip in clips) > 50  # no black line at any edge
    assert min(clip.max(axis=(0, 3)).min() for clip in before) < 20 or (top == 0 and left < 25)
    assert [(clip.start_s, clip.end_s) for clip in result.clips] == [(one.start_s, one.end_s) for one in plain.clips]
    inside_w, inside_h = WIDTH - 2 * left, HEIGHT - 2 * top
    scale = max(96 / inside_w, 64 / inside_h)  # cover
    speed = shift_px(clips[0][0], clips[0][8]) / 8
    assert speed == pytest.approx(2 * scale, rel=0.12)


def shift_px(before: np.ndarray, after: np.ndarray) -> float:
    """How far the picture went left between two frames, by correlation."""
    import cv2

    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in (before, after)]
    window = cv2.createHanningWindow(gray[0].shape[::-1], cv2.CV_32F)
    (dx, _), _ = cv2.phaseCorrelate(*gray, window)
    return -dx


def test_a_video_with_bars_in_some_shots_only_keeps_its_whole_picture(tmp_path: Path) -> None:
    row = video(tmp_path / "v.mp4", 24, 0, bare=16)
    result, _ = cut(tmp_path / "v.mp4", row, crop_bars=True)
    assert result.bars == []


def test_without_the_option_the_key_is_that_of_versions_that_did_not_have_it() -> None:
    def settings(options: CutOptions) -> str:
        return settings_digest("cut", 2, STAGE.content(options), {})

    assert settings(CutOptions()) == "e787dcac9d76d6469b22d74c37d324af"  # of the version before
    assert settings(CutOptions(crop_bars=True)) != settings(CutOptions())
    row = ClipRow(key="a", parent="v", fps=8.0, n_frames=97)
    assert row_digest(row) == "7668dc360e17ff844cddc5467505483d109d8cd86ea4e2fa389e13c796a90fe1"
    assert row_digest(row.model_copy(update={"bars": [0.1, 0.1, 0, 0], "jumps": 1})) == row_digest(row)
