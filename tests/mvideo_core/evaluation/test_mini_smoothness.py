"""mini_smoothness: numbers by hand, and what smooth and jerky movement give."""

import cv2
import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.metrics.mini_smoothness import flow, flow_smoothness, interpolate
from mvideo_core.evaluation.video import EvalVideo


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Soft blobs of all colors, uint8 (height, width, 3)."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 0, 255, cv2.NORM_MINMAX)


def moving(places: list[int]) -> np.ndarray:
    """A 64x96 window over a wide texture, its left edge at these columns."""
    wide = texture(64, 200)
    return np.stack([wide[:, x : x + 96] for x in places])


def test_brightness_by_hand() -> None:
    """Flat frames of 0, 100, 20: nothing moves, the prediction is 10, so 90 of 255 are missed."""
    frames = np.stack([np.full((64, 96, 3), level, np.uint8) for level in (0, 100, 20)])
    score = flow_smoothness(frames)
    assert score.value == pytest.approx(1 - 90 / 255, abs=1e-12)
    assert score.per_frame == (score.value,)


def test_half_levels_are_cut_down() -> None:
    """Between 10 and 13 lies 11.5; 8 bits make it 11."""
    one, other = np.full((32, 32, 3), 10, np.uint8), np.full((32, 32, 3), 13, np.uint8)
    assert np.unique(interpolate(one, other)).tolist() == [11]


def test_constant_video_is_1() -> None:
    frames = np.repeat(texture(64, 96)[None], 5, axis=0)
    score = flow_smoothness(frames)
    assert score.value == 1
    assert score.per_frame == (1.0, 1.0)
    assert score.details == {"n_frames": 5}


def test_flow_measures_pixels() -> None:
    """The window moves 3 px to the right, so the picture moves 3 px to the left."""
    one, other = moving([50, 53])
    inner = flow(one, other)[16:-16, 16:-16]
    assert np.median(inner[..., 0]) == pytest.approx(-3, abs=0.3)
    assert np.median(inner[..., 1]) == pytest.approx(0, abs=0.3)


def test_steady_movement_is_followed() -> None:
    """Averaging the neighbors blurs what moves by 6 px; following the flow does not."""
    frames = moving([40, 43, 46, 49, 52])
    plain = np.mean([np.abs(frames[i] - (frames[i - 1].astype(float) + frames[i + 1]) / 2).mean() for i in (1, 3)])
    assert 1 - flow_smoothness(frames).value < 0.25 * plain / 255


def test_jerks_and_flicker_cost() -> None:
    steady = flow_smoothness(moving([40, 43, 46, 49, 52])).value
    jerky = flow_smoothness(moving([40, 49, 46, 43, 52])).value
    flicker = moving([40, 43, 46, 49, 52]).astype(int) + np.array([0, 25, 0, 25, 0])[:, None, None, None]
    assert jerky < steady - 0.02
    assert flow_smoothness(flicker.clip(0, 255).astype(np.uint8)).value < steady - 0.05


def test_plugin_and_long_protocol() -> None:
    metric_class = METRICS.get("mini_smoothness")
    frames = np.full((8, 16, 16, 3), 50, np.uint8)
    frames[5] = 101
    metric = metric_class.load(metric_class.Options(protocol="long", clip_s=1))
    score = metric.score(EvalVideo.of_arrays(frames, fps=4.0))
    # second clip: frame 5 is predicted as 50 from frames 4 and 6, and frame 7 has no right neighbor
    assert score.details == {"n_frames": 8, "n_clips": 2, "clip_0": 1, "clip_1": pytest.approx(1 - 51 / 255)}


@pytest.mark.parametrize(("shape", "told"), [((2, 64, 96, 3), "at least 3"), ((5, 8, 96, 3), "16 px")])
def test_too_short_or_small(shape: tuple[int, ...], told: str) -> None:
    with pytest.raises(MediaError, match=told):
        flow_smoothness(np.zeros(shape, np.uint8))
