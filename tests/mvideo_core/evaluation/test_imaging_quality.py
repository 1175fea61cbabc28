"""imaging_quality: what is ours (resizing, loop, mean) by hand and against VBench; MUSIQ itself where pyiqa is."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import ModelError
from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.imaging_quality import musiq, shrink
from mvideo_core.evaluation.video import EvalVideo
from tests.goldens.vbench_inputs import (
    LARGE_FRAME,
    MUSIQ_SEED,
    MUSIQ_TINY,
    VIDEOS,
    drawn_frames,
    fill,
    goldens,
    quality_stand_in,
    video_path,
)

Metric = METRICS.get("imaging_quality")
needs_pyiqa = pytest.mark.skipif(importlib.util.find_spec("pyiqa") is None, reason="extra `imaging` is not installed")


def test_mean_of_frames_by_hand() -> None:
    """The stand-in gives 100 times the mean of its input: frames of 51, 102 and 255 are 20, 40 and 100."""
    frames = np.stack([np.full((8, 6, 3), value, np.uint8) for value in (51, 102, 255)])
    metric = Metric(Metric.Options(), lambda image: 100 * image.mean(), "cpu", "")
    score = metric.score(EvalVideo.of_arrays(frames))
    assert score.per_frame == pytest.approx((20, 40, 100))
    assert score.value == pytest.approx(160 / 3)


def test_order_of_frames_does_not_matter() -> None:
    frames = drawn_frames(24, 32, 4)
    metric = Metric(Metric.Options(), quality_stand_in, "cpu", "")
    turned = metric.score(EvalVideo.of_arrays(frames[::-1]))
    assert turned.value == pytest.approx(metric.score(EvalVideo.of_arrays(frames)).value, abs=1e-12)


@pytest.mark.parametrize(
    ("mode", "size"),
    [("longer", (341, 512)), ("shorter", (480, 720)), ("shorter_centercrop", (480, 720)), ("none", (480, 720))],
)
def test_sizes_of_a_480_x_720_frame(mode: str, size: tuple[int, int]) -> None:
    """512 / 720 * 480 = 341.33, cut to 341; the short side is below 512 already."""
    frame = np.zeros((480, 720, 3), np.uint8)
    assert tuple(shrink(frame, mode).shape) == (1, 3, *size)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["longer", "shorter", "shorter_centercrop", "None"])
def test_resizing_equals_vbench(mode: str) -> None:
    """One frame of 600 x 533: 512 x 454, 576 x 512, its middle 512 x 512, as it is."""
    frame = drawn_frames(*LARGE_FRAME, 1)[0]
    ours = float(quality_stand_in(shrink(frame, mode.lower())))  # type: ignore[arg-type]
    assert ours == pytest.approx(goldens()["imaging_quality_frame"][mode], abs=1e-6)


@pytest.mark.parametrize("name", VIDEOS)
def test_equals_vbench_with_a_stand_in(name: str) -> None:
    metric = Metric(Metric.Options(), quality_stand_in, "cpu", "")
    score = metric.score(EvalVideo(EvalItem(id=name, video=str(video_path(name)))))
    assert score.value == pytest.approx(goldens()["imaging_quality"]["stand_in"][name], abs=1e-6)
    assert len(score.per_frame) == VIDEOS[name][2]


@needs_pyiqa
@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEOS)
def test_equals_vbench_with_musiq(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    torch.set_num_threads(1)
    torch.save(fill(musiq(**MUSIQ_TINY), MUSIQ_SEED).state_dict(), tmp_path / "musiq_tiny.pth")
    monkeypatch.setattr("mvideo_core.evaluation.metrics.imaging_quality.musiq", lambda: musiq(**MUSIQ_TINY))
    metric = Metric.load(Metric.Options(weights=str(tmp_path)))
    score = metric.score(EvalVideo(EvalItem(id=name, video=str(video_path(name)))))
    assert score.value == pytest.approx(goldens()["imaging_quality"]["musiq"][name], abs=1e-6)


def test_without_pyiqa_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyiqa", None)
    with pytest.raises(ModelError, match=r"mvideo\[imaging\]") as caught:
        Metric.load(Metric.Options())
    assert "noncommercial" in str(caught.value)
