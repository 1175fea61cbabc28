"""Drift of a video that was generated clip by clip: statistics of each clip, and their trend from clip to clip.

Shape letters: T frames, K clips, S statistics, H, W, C.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

STATISTICS = ("red_mean", "green_mean", "blue_mean", "red_std", "green_std", "blue_std", "contrast", "sharpness")
"""Per frame: mean and standard deviation of each channel; standard deviation of luma (contrast); mean absolute
Laplacian (sharpness). All in gray levels, 0 to 255."""
MIN_CLIPS = 8
"""Fewer clips have a slope, but no interval: their autocorrelation cannot be estimated."""
MAX_CORRELATION = 0.99


class Trend(NamedTuple):
    """A slope per clip, and its interval; None with fewer than `MIN_CLIPS` clips."""

    slope: float
    low: float | None
    high: float | None

    @property
    def drifts(self) -> bool:
        """Whether 0 is outside the interval."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def frame_statistics(frames_THWC: np.ndarray) -> np.ndarray:
    """`STATISTICS` of every frame, float64 (T, S).

    Args:
        frames_THWC: RGB, 0 to 255; uint8, or float for values between gray levels.
    """
    import cv2

    frames_THWC = frames_THWC if frames_THWC.dtype == np.uint8 else frames_THWC.astype(np.float32)
    rows = []
    for frame_HWC in frames_THWC:
        luma_HW = cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY)
        pixels = frame_HWC.reshape(-1, 3).astype(np.float64)
        edges_HW = cv2.Laplacian(luma_HW, cv2.CV_32F)
        rows.append([*pixels.mean(axis=0), *pixels.std(axis=0), luma_HW.std(dtype=np.float64), np.abs(edges_HW).mean()])
    return np.array(rows, np.float64)


def clip_means(values_T: np.ndarray, new_frames: int) -> np.ndarray:
    """Means (K, ...) over the frames of each clip; a last clip that is cut short is left out.

    Args:
        values_T: one row per frame of the video. Frame 0 belongs to no clip here: in later clips, the first frame is
            the one shared with the clip before.
        new_frames: frames that each clip adds.
    """
    count = (len(values_T) - 1) // new_frames
    whole = np.asarray(values_T, np.float64)[1 : 1 + count * new_frames]
    return np.asarray(whole.reshape(count, new_frames, *whole.shape[1:]).mean(axis=1))


def seam_ratio(frames_THWC: np.ndarray, new_frames: int) -> float:
    """Change across the joins over the change elsewhere, means over the video of |f(t) - f(t+1)|; 1 = invisible joins.

    Infinite if only joins change; 1 if nothing does.
    """
    change_T = np.array([np.abs(a.astype(np.int16) - b).mean() for a, b in pairwise(frames_THWC)])
    at_join_T = (np.arange(len(change_T)) % new_frames == 0) & (np.arange(len(change_T)) > 0)
    across, elsewhere = float(change_T[at_join_T].mean()), float(change_T[~at_join_T].mean())
    if elsewhere == 0:
        return 1.0 if across == 0 else float("inf")
    return across / elsewhere


def fit_trend(values_K: np.ndarray, level: float = 0.95) -> Trend:
    """Least-squares slope per clip, with an interval that allows for autocorrelation.

    Clips resemble the clip before, so there are fewer independent ones than clips: n (1 - r) / (1 + r), where r is the
    correlation of neighboring residuals, corrected for the bias of a short series. Simulated coverage of the 95%
    interval: docs/results/accuracy.md.

    Source: Santer et al. 2000 (J. Geophys. Res. 105, 7337), with the correction of r as for a fitted trend, (1 + 4r)/n.
    """
    n = len(values_K)
    t_K = np.arange(n) - (n - 1) / 2
    slope = float(t_K @ values_K / (t_K @ t_K))
    if n < MIN_CLIPS:
        return Trend(slope, None, None)
    from scipy.stats import t as student

    rest_K = values_K - values_K.mean() - slope * t_K
    power = float(rest_K @ rest_K)
    if power <= 1e-20 * max(1.0, float(values_K @ values_K)):  # a straight line, up to rounding
        return Trend(slope, slope, slope)
    r = float(rest_K[1:] @ rest_K[:-1]) / power
    r = min(max(r + (1 + 4 * r) / n, 0.0), MAX_CORRELATION)
    effective = max(n * (1 - r) / (1 + r), 3.0)
    error = np.sqrt(power / (effective - 2) / (t_K @ t_K))
    half = float(error * student.ppf((1 + level) / 2, effective - 2))
    return Trend(slope, slope - half, slope + half)


def share_of(statistic: str, values_K: np.ndarray) -> np.ndarray:
    """Values relative to 255 for means, and to the video's own mean for the other statistics.

    This makes slopes of different statistics comparable. A statistic that is 0 throughout stays unchanged (zeros).
    """
    scale = 255.0 if statistic.endswith("_mean") else float(np.mean(values_K))
    return np.asarray(values_K / scale if scale else values_K)
