"""The metrics drift and mask_drift, on videos whose change is known."""

import json
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.drift_meter import fit_trend
from mvideo_core.evaluation.export import to_markdown
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.drift import Drift, MaskDrift, MaskDriftOptions
from mvideo_core.evaluation.plan import make_plan
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import SuiteOptions, prepare
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4
from tests.mvideo_core.evaluation.test_mask_miou import discs, painted, red_metric

NEW = 4


def brightening(n_clips: int, step: float, noise: float = 1.0) -> np.ndarray:
    """Clips of one texture, each `step` gray levels brighter than the one before, with a little noise per clip."""
    random = np.random.default_rng(0)
    texture = random.uniform(60, 120, (16, 24, 3))
    levels = step * np.arange(n_clips) + random.normal(0, noise, n_clips)
    per_frame = np.concatenate([[levels[0]], np.repeat(levels, NEW)])
    return (texture + per_frame[:, None, None, None]).round().clip(0, 255).astype(np.uint8)


def score(frames: np.ndarray, new_frames: int = NEW):
    return Drift(Drift.Options(new_frames=new_frames)).score(EvalVideo.of_arrays(frames))


def test_brightening_is_found_in_the_means_and_in_nothing_else() -> None:
    """2.55 gray levels per clip are 0.01 of 255."""
    found = score(brightening(20, 2.55))
    for color in ("red", "green", "blue"):
        assert found.details[f"slope_{color}_mean"] == pytest.approx(0.01, abs=0.001)
        assert found.details[f"low_{color}_mean"] > 0
    for other in ("red_std", "contrast", "sharpness"):
        assert found.details[f"low_{other}"] <= 0 <= found.details[f"high_{other}"], other
    assert found.details["n_drifting"] == 3
    assert found.value == pytest.approx(3 * 0.01 / 8, abs=0.001)


def test_a_video_that_only_varies_does_not_drift() -> None:
    found = score(brightening(20, 0, noise=3))
    assert found.details["n_drifting"] == 0
    assert found.details["n_clips"] == 20


def test_few_clips_have_slopes_without_intervals_and_two_are_refused() -> None:
    found = score(brightening(4, 2.55, noise=0))
    assert found.details["slope_red_mean"] == pytest.approx(0.01, abs=0.0005)
    assert "low_red_mean" not in found.details
    with pytest.raises(MediaError, match="2 whole clips of 4 new frames; a trend needs 3"):
        score(brightening(2, 1))


def test_joins_come_from_the_provenance_or_the_options(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_mp4(brightening(5, 5, noise=0), path, 8.0, crf=0)
    video = EvalVideo(EvalItem(id="a", video=str(path)))
    metric = Drift(Drift.Options())
    with pytest.raises(MediaError, match="does not say how long its clips are; set the metric's new_frames"):
        metric.score(video)
    (tmp_path / "provenance.json").write_text(json.dumps({"decides": {"format": {"clip_frames": NEW + 1}}}))
    assert metric.score(video).details["n_clips"] == 5


def test_a_suite_reports_it_like_any_metric(tmp_path: Path) -> None:
    write_mp4(brightening(10, 2.55), tmp_path / "a ball.mp4", 8.0, crf=0)
    suite = SuiteOptions.parse({"metrics": [{"metric": "drift", "options": {"new_frames": NEW}}]})
    result = run_suite(make_plan(suite, [str(tmp_path)]), tmp_path / "out")
    found = result.groups[0].metrics["drift"]
    assert found.n == 1
    assert found.details["slope_red_mean"] == pytest.approx(0.01, abs=0.003)
    assert "| drift |" in to_markdown(result)


def test_masks_that_are_followed_less_and_less() -> None:
    """The disc is 1 px further off in each clip, so S_m falls from clip to clip."""
    n_clips = 10
    masks = np.repeat(discs(1), n_clips * NEW + 1, axis=0)
    shift = np.concatenate([[0], np.repeat(np.arange(n_clips), NEW)])
    seen = np.stack([np.roll(one, n, axis=-1) for one, n in zip(masks, shift, strict=True)])
    options = MaskDriftOptions(new_frames=NEW)
    metric = MaskDrift(red_metric(), options)
    video = EvalVideo.of_arrays(painted(seen), 8.0, masks=encode(masks), masks_fps=8.0)
    expected = np.array(red_metric().score(video).per_frame, float)[1:].reshape(n_clips, NEW).mean(1)
    found = metric.score(video)
    assert found.value == pytest.approx(np.polyfit(np.arange(n_clips), expected, 1)[0], abs=1e-9)
    assert (found.details["low"], found.details["high"]) == pytest.approx(fit_trend(expected)[1:])
    assert found.value < -0.02


def test_mask_drift_with_mini_weights_gets_mini_in_its_name_and_needs_masks() -> None:
    suite = SuiteOptions.parse({"metrics": [{"metric": "mask_drift"}]})
    (one,) = prepare(suite)
    assert one.name == "mini_mask_drift"
    assert one.inputs == {"video", "masks"}
    assert METRICS.get("mask_drift") is MaskDrift
