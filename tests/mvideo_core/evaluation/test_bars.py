"""Letterbox bars of a system, drawn with known widths; a cropped and a letterboxed system in one table."""

from pathlib import Path

import numpy as np
import pytest

from mvideo_core.evaluation.bars import NO_BARS, bars_in
from mvideo_core.evaluation.manifest import EvalItem, write_manifest
from mvideo_core.evaluation.plan import make_plan
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import SuiteOptions
from mvideo_core.evaluation.validate import validate
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.media.encode import write_mp4


def picture(height: int, width: int, seed: int, n_frames: int = 9) -> np.ndarray:
    """Soft noise that moves, nowhere dark."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(70, 230, (height // 8 + 2, width // 8 + 4, 3), dtype=np.uint8)
    large = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
    return np.stack([large[:height, t : t + width] for t in range(n_frames)])


def boxed(frames: np.ndarray, top: int, bottom: int, left: int = 0, right: int = 0) -> np.ndarray:
    return np.pad(frames, ((0, 0), (top, bottom), (left, right), (0, 0)))


@pytest.mark.parametrize("bars", [(16, 16, 0, 0), (0, 0, 24, 24), (15, 16, 0, 0), (0, 0, 0, 0), (8, 8, 12, 12)])
def test_bars_have_the_width_that_was_drawn(bars: tuple[int, int, int, int]) -> None:
    assert bars_in([boxed(picture(64, 96, seed), *bars) for seed in range(3)]) == bars


@pytest.mark.parametrize("bars", [(40, 0, 0, 0), (3, 3, 0, 0), (30, 10, 0, 0)])
def test_what_is_on_one_side_or_thin_is_no_bar(bars: tuple[int, int, int, int]) -> None:
    assert bars_in([boxed(picture(64, 96, 1), *bars)]) == NO_BARS


def test_one_video_that_is_bright_there_says_that_there_is_no_bar() -> None:
    night = boxed(picture(64, 96, 1), 16, 16)
    assert bars_in([night]) == (16, 16, 0, 0)
    assert bars_in([night, picture(96, 96, 2)]) == NO_BARS
    assert bars_in([np.zeros((3, 96, 96, 3), np.uint8)]) == NO_BARS


def test_bars_of_each_system_are_cropped_before_every_metric(tmp_path: Path) -> None:
    """The same frames, plain and between bars of 32 rows each: flicker halves with the bars and is equal without."""
    items = []
    for n in range(2):
        frames = picture(64, 96, n)
        for system, shown in (("plain", frames), ("boxed", boxed(frames, 32, 32))):
            path = tmp_path / system / f"{n}.mp4"
            path.parent.mkdir(exist_ok=True)
            write_mp4(list(shown), path, 8, crf=1)
            items.append(EvalItem(id=f"i{n}", system=system, video=str(path)))
    manifest = write_manifest(items, tmp_path / "manifest.jsonl")
    means = {}
    for crop in (False, True):
        suite = SuiteOptions.parse({"metrics": [{"metric": "temporal_flickering"}], "crop_bars": crop})
        plan = make_plan(suite, [str(manifest)])
        told = [one.message for one in validate(plan).problems]
        ending = "cropped before scoring" if crop else "scored as part of the video; --set crop_bars=true crops them"
        assert f"black bars of 32 px above, 32 below, 0 left, 0 right: {ending}" in told
        assert "systems differ in size (px), which affects scores: plain 96x64; boxed 96x128" in told
        groups = run_suite(plan, tmp_path / f"out-{crop}").groups
        means[crop] = {group.system: group.metrics["temporal_flickering"].mean for group in groups}
    assert means[False]["boxed"] == pytest.approx(1 - (1 - means[False]["plain"]) / 2, abs=0.003)  # half is black
    assert means[True]["boxed"] == pytest.approx(means[True]["plain"], abs=0.001)
    shown = EvalVideo(items[1].model_copy(update={"bars_px": (32, 32, 0, 0)})).frames_THWC
    assert shown.shape == (9, 64, 96, 3)
