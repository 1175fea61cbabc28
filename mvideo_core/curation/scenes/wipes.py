"""Detect wipes, slides, radial and other transitions in which one image replaces another piece by piece.

Neighboring frames differ little and nothing is blended, so neither hard-cut detectors nor `gradual` see them. They show
over seconds: the frames before resemble each other, the frames after do too, and the two sides have nothing in common.
For windows of several lengths, with half a second of frames on either side, two values are computed from color
histograms, which motion hardly changes:

* apart: the distance between the two sides;
* surplus: that distance minus what the drift within either side would have covered in the same time.

Where both are high, the ends of the window are compared as pictures: how well blocks of one are found anywhere in the
other, by correlation, and by color, and how far their histograms are apart at equal brightness. Camera motion leaves
blocks to be found and a change of light leaves the rest alike; another scene does neither. A logistic regression over
these numbers gives the evidence; of overlapping windows, the one with the most evidence wins. Its weights come from
synthetic and real footage that is not part of this project; `benchmarks.transitions` fits new ones on the synthetic
world and compares both.

A camera that turns so fast that none of the old view is left after two seconds looks the same and is reported, too.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.scenes.plan import Boundary

_LENGTHS = (3, 4, 6, 8, 12, 16, 20, 24, 30)
"""Samples between the ends of a window; about 12 samples are taken per second."""
SIDE = 7
"""Samples on either side of a window that it is compared with."""
_BLOCK = 16
_CHECKS = 3
"""Windows per block that are compared as images: those with the most histogram evidence."""
_LENGTH_COST = 0.15
"""Extra evidence per sample that a longer window needs to beat a shorter one."""
_MAX_STEP_SHARE = 0.9
_GROWTH = 8
_STILL = 0.03
"""Below this distance between samples, a transition has not begun or is over."""
_MARGIN_SHARE = 0.3
"""Fraction of the length found that is added on either side: circles and corners begin with areas too small to
notice.
"""
_SETTLED = 3 * _LENGTHS[-1] + SIDE + _GROWTH + 1 + round(_MARGIN_SHARE * (_LENGTHS[-1] + 2 * _GROWTH))
"""Samples until a transition is certain: its own length, as long again on either side for better candidates, room to
grow.
"""
_THUMB = (32, 18)
_PICTURE = (48, 27)
_BINS = 6
_HALF_BIN = np.array([21.0, 21.0, 21.0, 0.0])
_PATCH_PX = (7, 9)
_PATCH_STEP_PX = (7, 8)
_APART_FLOOR, _DRIFT_FLOOR, _COLOR_FLOOR, _EQUAL_FLOOR = 0.02, 0.2, 2.0, 0.05
_MIN_HISTOGRAM_EVIDENCE = -3.5
HISTOGRAM_SLOPE = 2.16


class WipeWeights(NamedTuple):
    """Logistic regression over what `measure_histograms` and `measure_pictures` give; log-odds of a transition."""

    surplus: float
    apart: float
    correlation: float
    color: float
    equal: float
    constant: float


WEIGHTS = WipeWeights(surplus=4.08, apart=1.02, correlation=-13.57, color=1.09, equal=5.71, constant=14.01)


class WipeOptions(Options):
    """Third pass: wipes, slides, radial and similar transitions."""

    enabled: bool = Field(default=True, description="search for wipes, slides and other piecewise transitions")
    min_evidence: float = Field(
        default=0.0, description="minimum log-odds of a transition; higher = fewer, more certain ones"
    )
    min_spacing_s: float = Field(default=0.08, gt=0, description="minimum seconds between sampled frames")


class _Window(NamedTuple):
    evidence: float
    start: int
    end: int

    def rank(self) -> tuple[float, int]:
        """Sort key, smallest first."""
        return _LENGTH_COST * (self.end - self.start) - self.evidence, self.start

    def overlaps(self, other: "_Window") -> bool:
        """Whether the two windows share more than an endpoint."""
        return self.start < other.end and other.start < self.end

    def resembles(self, other: "_Window") -> bool:
        """Whether they overlap by more than half of their union."""
        common = min(self.end, other.end) - max(self.start, other.start)
        return common > 0.5 * (max(self.end, other.end) - min(self.start, other.start))


class WipeFinder:
    """Finds piecewise transitions in a stream of small frames.

    Attributes:
        settled_s: transitions that start before this time are final.
    """

    def __init__(self, options: WipeOptions, weights: WipeWeights = WEIGHTS):
        self.settled_s = float("-inf")
        self._options, self._weights = options, weights
        self._times: list[float] = []
        self._pictures: list[np.ndarray] = []
        self._histograms: list[np.ndarray] = []
        self._n_samples = self._n_done = 0
        self._waiting: list[_Window] = []

    def feed(self, time_s: float, frame_bgr: np.ndarray) -> list[Boundary]:
        """Take the next frame, (h, w, 3) uint8; return the transitions that are now final."""
        if self._times and time_s - self._times[-1] < self._options.min_spacing_s - 1e-6:
            return []
        picture, histogram = frame_features(frame_bgr)
        for _ in range(SIDE // 2 if not self._n_samples else 1):  # no side is there before the first frame
            self._append(time_s, picture, histogram)
        if self._n_samples - self._n_done < _BLOCK:
            return []
        self._search()
        if len(self._times) >= _SETTLED:
            self.settled_s = self._times[-_SETTLED]
        found = self._find_certain(self._n_samples - _LENGTHS[-1] - SIDE)
        self._times, self._pictures = self._times[-_SETTLED:], self._pictures[-_SETTLED:]
        self._histograms = self._histograms[-_SETTLED:]
        return found

    def finish(self) -> list[Boundary]:
        """Return the transitions still open at the end of the video."""
        if not self._times:
            return []
        for _ in range(SIDE // 2):
            self._append(self._times[-1], self._pictures[-1], self._histograms[-1])
        self._search()
        return self._find_certain(self._n_samples + 1)

    def _append(self, time_s: float, picture: np.ndarray, histogram: np.ndarray) -> None:
        self._times.append(time_s)
        self._pictures.append(picture)
        self._histograms.append(histogram)
        self._n_samples += 1

    def _search(self) -> None:
        """Score every window whose right side ends in the samples added since the last search."""
        n_new = self._n_samples - self._n_done
        n_kept = min(len(self._times), n_new + _LENGTHS[-1] + 2 * SIDE)
        self._n_done = self._n_samples
        first = self._n_samples - n_kept
        checked: list[_Window] = []
        for window in self._by_histograms(np.stack(self._histograms[-n_kept:]), n_new):
            if len(checked) == _CHECKS:
                break
            if any(window.resembles(other) for other in checked):
                continue
            checked.append(window)
            if is_sudden(self._histograms[-n_kept:], window.start, window.end):
                continue
            evidence = window.evidence + self._by_pictures(
                self._pictures[-n_kept:], window, self._options.min_evidence - window.evidence
            )
            if evidence > self._options.min_evidence:
                self._waiting.append(_Window(evidence, window.start + first, window.end + first))

    def _by_histograms(self, histograms: np.ndarray, n_new: int) -> list[_Window]:
        """Windows sorted by their evidence from histograms alone, strongest first."""
        windows, measures = measure_histograms(histograms, n_new)
        evidence = self._weights.surplus * measures[:, 0] + self._weights.apart * measures[:, 1]
        found = [
            _Window(one, start, end) for one, (start, end) in zip(evidence.tolist(), windows.tolist(), strict=True)
        ]
        return sorted(found, key=lambda one: (-one.evidence, one.start))

    def _by_pictures(self, pictures: list[np.ndarray], window: _Window, enough: float) -> float:
        """Evidence from the frames on either side of a window.

        If the evidence is below `enough` after the first pair, the second pair, which can only lower it, is skipped.
        """
        weights, evidence = self._weights, 0.0
        for correlation, color, equal in measure_pictures(pictures, window.start, window.end):
            evidence = (
                weights.correlation * correlation + weights.color * color + weights.equal * equal + weights.constant
            )
            if evidence < enough:
                break
        return evidence

    def _find_certain(self, before_sample: int) -> list[Boundary]:
        """Best windows that no later window can overlap."""
        chosen: list[_Window] = []
        better: list[_Window] = []
        for window in sorted(
            self._waiting, key=lambda one: (_LENGTH_COST * (one.end - one.start) - one.evidence, one.start)
        ):
            if not any(window.overlaps(other) for other in better):
                better.append(window)
                if window.end < before_sample:
                    chosen.append(window)
        self._waiting = [one for one in self._waiting if not any(one.overlaps(other) for other in chosen)]
        return sorted(self._grow(window) for window in chosen)

    def _grow(self, window: _Window) -> Boundary:
        """Extend the window to where the change toward the other side begins and ends."""
        first = self._n_samples - len(self._times)
        start, end = window.start - first, window.end - first
        kept = np.stack(self._histograms)
        middle = SIDE // 2
        to_after = _distances(kept, kept[end + middle : end + middle + SIDE]).mean(1)
        to_before = _distances(kept, kept[max(0, start - middle - SIDE + 1) : start - middle + 1]).mean(1)
        start -= _steps_until_level(to_after[: start + 1][::-1])
        end += _steps_until_level(to_before[end:])
        margin = 1 + round(_MARGIN_SHARE * (end - start))
        return Boundary(self._times[max(0, start - margin)], self._times[min(end + margin, len(kept) - 1)], "wipe")


def without_margin(wipe: Boundary) -> Boundary:
    """The span as detected: a blend changes the whole image at once and needs no margin."""
    margin_s = (wipe.end_s - wipe.start_s) * _MARGIN_SHARE / (1 + 2 * _MARGIN_SHARE)
    return Boundary(wipe.start_s + margin_s, wipe.end_s - margin_s, "gradual")


def _steps_until_level(distances: np.ndarray) -> int:
    """Samples, going outward from an end of a window, until the distance from the other side grows no more."""
    level = float(np.median(distances[_GROWTH : _GROWTH + SIDE])) if len(distances) > _GROWTH else 1.0
    steps = 0
    while steps < min(_GROWTH, len(distances) - 2):
        rises = distances[steps + 1 : steps + 3].max() - distances[steps] >= _STILL
        if not rises and distances[steps] >= min(level, float(distances[steps:].max())) - _STILL:
            break
        steps += 1
    return steps


def _distances(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Hellinger distance, 0 to 1, between every pair of histograms."""
    return np.asarray(np.sqrt(np.maximum(0, 1 - some @ others.T)))


def frame_features(frame_bgr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Picture for comparing blocks, and color histogram."""
    import cv2

    picture = cv2.resize(frame_bgr, _PICTURE, interpolation=cv2.INTER_AREA)
    return picture, _histogram(cv2.resize(frame_bgr, _THUMB, interpolation=cv2.INTER_AREA))


def _histogram(thumb_bgr: np.ndarray) -> np.ndarray:
    """Square roots of shares, float32 (432,): two color histograms offset by half a bin, so bin edges do not matter."""
    import cv2

    counts = [
        cv2.calcHist([picture], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3).ravel()
        for picture in (thumb_bgr, cv2.add(thumb_bgr, _HALF_BIN))
    ]
    return np.asarray(np.sqrt(np.concatenate(counts) / (2 * _THUMB[0] * _THUMB[1])), np.float32)


def measure_histograms(histograms: np.ndarray, n_new: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows whose later side ends among the last `n_new` samples and whose sides differ.

    Means over sides come from one summed-area table.

    Returns:
        (windows, 2) int: samples at its ends. (windows, 2) float: logs of surplus and apart, see the top of this file.
    """
    n = len(histograms)
    table = np.zeros((n + 1, n + 1))
    table[1:, 1:] = _distances(histograms, histograms).cumsum(0).cumsum(1)

    def mean(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Over squares of side `SIDE` that begin at the given samples."""
        far_rows, far_columns = rows + SIDE, columns + SIDE
        total = (
            table[far_rows, far_columns] - table[rows, far_columns] - table[far_rows, columns] + table[rows, columns]
        )
        return np.asarray(np.maximum(0, total) / SIDE**2)

    windows, measures = [], []
    for length in _LENGTHS:
        afters = np.arange(max(n - n_new - SIDE + 1, length + SIDE - 1), n - SIDE + 1)
        befores = afters - length - SIDE + 1
        apart = mean(befores, afters)
        drift = 3 / SIDE * np.maximum(mean(befores, befores), mean(afters, afters)) * (length + SIDE)
        surplus, apart = np.log(apart / (drift + _DRIFT_FLOOR) + 1e-9), np.log(apart + _APART_FLOOR)
        hopeful = HISTOGRAM_SLOPE * surplus + apart > _MIN_HISTOGRAM_EVIDENCE
        windows.append(np.stack([afters - length, afters], axis=1)[hopeful])
        measures.append(np.stack([surplus, apart], axis=1)[hopeful])
    return np.concatenate(windows), np.concatenate(measures)


def is_sudden(histograms: Sequence[np.ndarray], start: int, end: int) -> bool:
    """Whether one step makes most of the change: a hard cut, which the hard-cut detector locates exactly."""
    inside = np.stack(histograms[start : end + 1])
    steps = 1 - (inside[1:] * inside[:-1]).sum(1)
    return bool(steps.max() > _MAX_STEP_SHARE**2 * (1 - inside[0] @ inside[-1]))


def measure_pictures(pictures: Sequence[np.ndarray], start: int, end: int) -> Iterator[tuple[float, float, float]]:
    """Correlation, log of color and log of equal, see the top of this file, between the two sides of a window.

    First of one pair of frames, then of two pairs: the more similar pair counts, to ignore flashes.
    """
    pairs = [
        (pictures[start], pictures[end]),
        (pictures[end + SIDE // 2], pictures[start - SIDE // 2]),
    ]
    correlation, color, equal = -1.0, 255.0, 1.0
    for pair in pairs:
        one_correlation, one_color = _match_blocks(*pair)
        correlation, color = max(correlation, one_correlation), min(color, one_color)
        equal = min(equal, _equal_light_distance(*pair))
        yield correlation, float(np.log(color + _COLOR_FLOOR)), float(np.log(equal + _EQUAL_FLOOR))


def _match_blocks(where_bgr: np.ndarray, what_bgr: np.ndarray) -> tuple[float, float]:
    """How well blocks of one image are found in another: correlation, at best 1, and gray-level difference."""
    all_, all_shapes, all_norms = _patches(where_bgr, (1, 1))
    some, some_shapes, some_norms = _patches(what_bgr, _PATCH_STEP_PX)
    size = all_.shape[1]
    products = np.einsum("ij,kj->ik", some, all_)  # this product is too small for the threads of `@`
    shape_products = np.einsum("ij,kj->ik", some_shapes, all_shapes)
    correlation = shape_products / (some_norms[:, None] * all_norms + 4.0 * size)
    square = (some * some).sum(1)[:, None] + (all_ * all_).sum(1) - 2 * products
    weight = np.minimum(some_norms / size**0.5, 30) + 0.1
    gray_levels = np.sqrt(np.maximum(square.min(1), 0) / size).mean()
    return float((weight * correlation.max(1)).sum() / weight.sum()), float(gray_levels)


def _patches(picture_bgr: np.ndarray, step: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blocks as rows, the mean-free blocks, and the norms of the latter."""
    views = sliding_window_view(picture_bgr, _PATCH_PX, axis=(0, 1))[:: step[0], :: step[1]]  # type: ignore[call-overload]
    rows = views.reshape(views.shape[0] * views.shape[1], -1).astype(np.float32)
    shapes = rows - rows.mean(1, keepdims=True)
    return rows, shapes, np.sqrt((shapes * shapes).sum(1))


def _equal_light_distance(one_bgr: np.ndarray, other_bgr: np.ndarray) -> float:
    """Distance between the color histograms of two images normalized to equal brightness."""
    import cv2

    histograms = []
    for picture in (one_bgr, other_bgr):
        thumb = cv2.resize(picture, _THUMB, interpolation=cv2.INTER_AREA)
        gray = float(cv2.cvtColor(thumb, cv2.COLOR_BGR2GRAY).mean())
        histograms.append(_histogram(cv2.convertScaleAbs(thumb, alpha=110 / max(gray, 20.0))))
    return float(np.sqrt(max(0.0, 1 - histograms[0] @ histograms[1])))
