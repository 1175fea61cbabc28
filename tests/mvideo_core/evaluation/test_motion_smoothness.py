"""motion_smoothness: what is ours (loop, padding, rounding, mean) by hand and against VBench; AMT where vbench is."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError, ModelError
from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.networks.amt import amt_s
from mvideo_core.evaluation.video import EvalVideo
from tests.goldens.vbench_inputs import (
    AMT_SEED,
    VIDEOS,
    drawn_frames,
    fill,
    goldens,
    interpolation_stand_in,
    video_path,
)

Metric = METRICS.get("motion_smoothness")
needs_vbench = pytest.mark.skipif(importlib.util.find_spec("vbench") is None, reason="package vbench is not installed")


def average(one: Any, other: Any, *_: Any, **__: Any) -> dict[str, Any]:
    """The mean of both neighbors."""
    return {"imgt_pred": (one + other) / 2}


def metric_with(network: Any, min_side_px: int = 1, **options: Any) -> Any:
    """The metric around a stand-in."""
    return Metric(Metric.Options(**options), network, "cpu", "", min_side_px)


def test_by_hand() -> None:
    """Flat frames 10, 20, 21, 90, 51, 255: 15 predicted for 20 (15.5 cut down), 36 for 90; the sixth has no neighbor.

    Differences 5 and 54, mean 29.5.
    """
    frames = np.stack([np.full((4, 6, 3), value, np.uint8) for value in (10, 20, 21, 90, 51, 255)])
    score = metric_with(average).score(EvalVideo.of_arrays(frames))
    assert score.per_frame == pytest.approx((1 - 5 / 255, 1 - 54 / 255))
    assert score.value == pytest.approx(1 - 29.5 / 255)


def test_padding_repeats_the_edge_and_the_odd_pixel_goes_after() -> None:
    """4 x 5 px become 16 x 16: 6 rows above and below, 5 columns left and 6 right."""
    seen = []

    def watch(one: Any, other: Any, *_: Any, **__: Any) -> dict[str, Any]:
        seen.append(one.numpy())
        return {"imgt_pred": one}

    frames = np.zeros((3, 4, 5, 3), np.uint8)
    frames[:, 0, 0], frames[:, 3, 4] = 255, 51
    metric_with(watch).score(EvalVideo.of_arrays(frames))
    (image,) = seen
    assert image.shape == (1, 3, 16, 16)
    assert (image[0, 0, :7, :6] == 1).all()
    assert image[0, 0, :7, :6].size == (image == 1).sum() / 3
    assert np.allclose(image[0, 0, 9:, 9:], 0.2)


def test_a_moving_video_is_1_only_for_a_network_that_knows(capsys: pytest.CaptureFixture[str]) -> None:
    frames = drawn_frames(32, 32, 5)
    truth = iter([frames[1], frames[3]])

    def oracle(one: Any, *_: Any, **__: Any) -> dict[str, Any]:
        import torch

        return {"imgt_pred": (torch.from_numpy(next(truth)).permute(2, 0, 1)[None] + 0.5) / 255}

    assert metric_with(oracle).score(EvalVideo.of_arrays(frames)).value == 1
    assert metric_with(average).score(EvalVideo.of_arrays(frames)).value < 0.99


def test_long_splits_before_it_predicts() -> None:
    """At 3 fps and 1 s clips: frames 0-2, 3-5; predicted are 1 (10 for 40) and 4 (10 for 10). Whole: 1 and 3."""
    frames = np.stack([np.full((4, 4, 3), value, np.uint8) for value in (10, 40, 10, 10, 10, 10)])
    long = metric_with(average, protocol="long", clip_s=1).score(EvalVideo.of_arrays(frames, fps=3.0))
    assert long.value == pytest.approx(1 - 15 / 255)
    short = metric_with(average).score(EvalVideo.of_arrays(frames, fps=3.0))
    assert len(short.per_frame) == 2


def test_small_sides_and_short_videos_are_bad_items() -> None:
    with pytest.raises(MediaError, match="112 x 200 px; AMT-S needs at least 113"):
        metric_with(average, 113).score(EvalVideo.of_arrays(np.zeros((3, 112, 200, 3), np.uint8)))
    with pytest.raises(MediaError, match="2 frames; at least 3"):
        metric_with(average).score(EvalVideo.of_arrays(np.zeros((2, 16, 16, 3), np.uint8)))


def test_values_that_are_not_finite_are_no_score() -> None:
    def broken(one: Any, *_: Any, **__: Any) -> dict[str, Any]:
        return {"imgt_pred": one * float("nan")}

    with pytest.raises(MediaError, match="non-finite"):
        metric_with(broken).score(EvalVideo.of_arrays(np.zeros((3, 16, 16, 3), np.uint8)))


@pytest.mark.parametrize("name", VIDEOS)
def test_equals_vbench_with_a_stand_in(name: str) -> None:
    score = metric_with(interpolation_stand_in).score(EvalVideo(EvalItem(id=name, video=str(video_path(name)))))
    assert score.value == pytest.approx(goldens()["motion_smoothness"]["stand_in"][name], abs=1e-6)


@needs_vbench
@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEOS)
def test_equals_vbench_with_amt(name: str, tmp_path: Path) -> None:
    import torch

    torch.set_num_threads(1)
    torch.save({"state_dict": fill(amt_s(), AMT_SEED).state_dict()}, tmp_path / "amt-s.pth")
    metric = Metric.load(Metric.Options(weights=str(tmp_path)))
    score = metric.score(EvalVideo(EvalItem(id=name, video=str(video_path(name)))))
    assert score.value == pytest.approx(goldens()["motion_smoothness"]["amt"][name], abs=1e-6)


def test_without_vbench_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvideo_core.evaluation.networks.amt.MODULE", "vbench_is_not_here.AMT")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install --no-deps vbench==0\.1\.5") as caught:
        Metric.load(Metric.Options())
    assert "noncommercial" in str(caught.value)
