"""mini_imaging: the arithmetic by hand; shipped weights rank degraded frames below clean ones."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from mvideo_core.base.errors import MediaError, ModelError
from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.networks.frame_quality import QualityWeights, features
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.miniworld.training.imaging import DEGRADATIONS, clean_frames, degrade, fit, write_model


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Frames of held-out shots, which neither training nor the card's figures saw."""
    return clean_frames(12, "heldout")


@pytest.fixture(scope="module")
def weights() -> QualityWeights:
    metric_class = METRICS.get("mini_imaging")
    loaded: QualityWeights = metric_class.load(metric_class.Options()).weights  # type: ignore[attr-defined]
    return loaded


def test_two_layers_by_hand() -> None:
    """(3 - 1) / 2 = 1; relu(2 * 1 + 0) = 2; sigmoid(2 - 1) = 0.7311 of degradation."""
    one = np.array([1.0])
    layers = QualityWeights(one, 2 * one, np.array([[2.0]]), 0 * one, one, -one)
    assert layers.quality(np.array([3.0])) == pytest.approx(1 - 0.7310586, abs=1e-6)
    # relu: everything below the mean is alike, sigmoid(-1)
    assert layers.quality(np.array([-3.0])) == layers.quality(np.array([0.0])) == pytest.approx(1 - 0.2689414, abs=1e-6)


def test_grid_steps_by_hand() -> None:
    """Columns of 8 px, black and white in turn: 255 across each grid line and 0 elsewhere along x, nothing along y."""
    stripes = np.zeros((64, 96, 3), np.uint8)
    stripes[:, np.arange(96) // 8 % 2 == 1] = 255
    along_x, along_y = features(stripes)[-10:-8]
    assert along_x == pytest.approx(np.log(255.1 / 0.1), rel=1e-4)
    assert along_y == pytest.approx(0)


def test_flat_frame_has_finite_features() -> None:
    assert np.isfinite(features(np.full((64, 96, 3), 128, np.uint8))).all()


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_shipped_weights_rank_levels(name: str, frames: np.ndarray, weights: QualityWeights) -> None:
    rng = np.random.default_rng(3)
    levels = [0.0, 0.25, 0.5, 1.0]
    scores = np.array(
        [[weights.quality(features(degrade(rgb, name, level, rng))) for level in levels] for rgb in frames]
    )
    assert (scores[:, 1] < scores[:, 0]).all(), "every degraded frame below itself clean"
    assert spearmanr(scores.ravel(), np.tile(levels, len(frames))).statistic < -0.9
    assert scores[:, 0].mean() > 0.85
    assert scores[:, 3].mean() < 0.25


def test_video_is_the_mean_of_its_frames(frames: np.ndarray, weights: QualityWeights) -> None:
    metric_class = METRICS.get("mini_imaging")
    metric = metric_class.load(metric_class.Options())
    score = metric.score(EvalVideo.of_arrays(frames[:3]))
    each = [weights.quality(features(frame)) for frame in frames[:3]]
    assert score.per_frame == pytest.approx(each)
    assert score.value == pytest.approx(sum(each) / 3)
    assert len(metric.weights_sha256) == 64


def test_larger_frames_are_shrunk(frames: np.ndarray) -> None:
    """Every pixel four times: shrunk by area, it is the same picture."""
    large = frames[0].repeat(2, axis=0).repeat(2, axis=1)
    assert features(large) == pytest.approx(features(frames[0]), rel=1e-6)


def test_too_small_and_no_weights(tmp_path: Path) -> None:
    metric_class = METRICS.get("mini_imaging")
    with pytest.raises(MediaError, match="32 px"):
        metric_class.load(metric_class.Options()).score(EvalVideo.of_arrays(np.zeros((2, 16, 16, 3), np.uint8)))
    with pytest.raises(ModelError, match="cannot be read"):
        metric_class.load(metric_class.Options(weights=str(tmp_path)))


def test_fit_learns_a_threshold_and_is_written(tmp_path: Path) -> None:
    """One feature that is the level itself: after fitting, the order is kept and the file gives the same scores."""
    levels = np.random.default_rng(0).random(400)
    found = fit(np.stack([levels, np.zeros(400)], axis=1), levels, steps=200)
    high, low = found.quality(np.array([0.1, 0])), found.quality(np.array([0.9, 0]))
    assert high == pytest.approx(0.9, abs=0.1)
    assert low == pytest.approx(0.1, abs=0.1)
    write_model(tmp_path, found, {}, 400, 0)
    again = QualityWeights.read(tmp_path / "model.safetensors")
    assert again.quality(np.array([0.1, 0])) == pytest.approx(high, abs=1e-6)
