"""Statistics and trends by hand, and against NumPy and SciPy."""

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from mvideo_core.evaluation.drift_meter import (
    STATISTICS,
    Trend,
    clip_means,
    fit_trend,
    frame_statistics,
    seam_ratio,
    share_of,
)


def test_statistics_of_a_frame_by_hand() -> None:
    """Left half (200, 40, 40), right half black: means 100, 20, 20; deviations 100, 20, 20; luma 87.8 or 0."""
    frame = np.zeros((8, 8, 3), np.uint8)
    frame[:, :4] = 200, 40, 40
    got = dict(zip(STATISTICS, frame_statistics(frame[None])[0], strict=True))
    luma = round(0.299 * 200 + 0.587 * 40 + 0.114 * 40)
    assert [got[f"{color}_mean"] for color in ("red", "green", "blue")] == [100, 20, 20]
    assert [got[f"{color}_std"] for color in ("red", "green", "blue")] == [100, 20, 20]
    assert got["contrast"] == luma / 2
    # The edge lies between columns 3 and 4: both have a Laplacian of +-luma, all others 0.
    assert got["sharpness"] == pytest.approx(2 * luma / 8)


def test_values_between_gray_levels_count() -> None:
    frames = np.random.default_rng(0).uniform(0, 255, (3, 6, 10, 3))
    got = frame_statistics(frames)
    assert got[:, :3] == pytest.approx(frames.mean((1, 2)), abs=1e-4)
    assert got[:, 3:6] == pytest.approx(frames.std((1, 2)), abs=1e-4)


def test_clips_start_after_the_shared_frame_and_only_whole_ones_count() -> None:
    """Frames 0 to 9 with 4 new frames per clip: 1-4 and 5-8; frame 9 is the start of an unfinished clip."""
    assert clip_means(np.arange(10.0), 4).tolist() == [2.5, 6.5]
    assert clip_means(np.arange(20.0).reshape(10, 2), 4).tolist() == [[5, 6], [13, 14]]


def test_seam_by_hand() -> None:
    """Gray levels 0 1 2 | 12 13 | 23 with 2 new frames: joins change by 10, the others by 1."""
    levels = np.array([0, 1, 2, 12, 13, 23], np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (6, 4, 4, 3))
    assert seam_ratio(frames, 2) == 10
    assert seam_ratio(frames[:1].repeat(6, 0), 2) == 1


def test_slope_is_that_of_scipy_and_noise_without_memory_has_nearly_its_interval() -> None:
    values = 0.02 * np.arange(400) + np.random.default_rng(1).standard_normal(400)
    expected = stats.linregress(np.arange(400), values)
    got = fit_trend(values)
    assert got.slope == pytest.approx(expected.slope, rel=1e-9)
    assert got.high is not None
    half = expected.stderr * stats.t.ppf(0.975, 398)
    assert 0.98 * half < got.high - got.slope < 1.2 * half
    assert got.drifts


def test_a_straight_line_and_a_constant() -> None:
    line = fit_trend(3 + 0.5 * np.arange(10))
    assert (line.slope, line.drifts) == (pytest.approx(0.5), True)
    assert fit_trend(np.full(10, 7.0)) == Trend(0, 0, 0)
    assert not fit_trend(np.full(10, 7.0)).drifts
    assert fit_trend(np.array([1.0, 2, 4])) == Trend(1.5, None, None)  # too short for an interval


@pytest.mark.parametrize(("n", "memory", "least"), [(130, 0.0, 0.92), (130, 0.8, 0.92), (900, 0.9, 0.93)])
def test_the_interval_covers_0_where_clips_resemble_their_neighbors(n: int, memory: float, least: float) -> None:
    noise = np.random.default_rng(2).standard_normal((400, n + 200))
    chains = lfilter([1], [1, -memory], noise, axis=1)[:, 200:]
    covered = np.mean([not fit_trend(chain).drifts for chain in chains])
    assert covered >= least


def test_shares() -> None:
    assert share_of("red_mean", np.array([51.0, 102])).tolist() == [0.2, 0.4]
    assert share_of("contrast", np.array([10.0, 30])).tolist() == [0.5, 1.5]
    assert share_of("sharpness", np.zeros(2)).tolist() == [0, 0]
