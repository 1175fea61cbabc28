"""Detect dissolves and fades, which hard-cut detectors miss: windows in which one image blends into another.

Two facts identify a blend x(a) = (1 - a) A + a B with a growing linearly from 0 to 1, regardless of motion in A and B:

* at thumbnail size the frames lie on the straight line from A to B (camera motion leaves that line);
* two unrelated images lose contrast halfway: gradient energy follows (1 - a)^2 E_A + a^2 E_B, a parabola that sags
  to half (with motion and light changes it stays on or near the straight line between E_A and E_B).

A fade is a blend with a flat picture. For every window of several lengths the two residuals and the distance of the
ends are combined by logistic regression into one evidence score; of overlapping windows, the highest score wins. The
weights come from synthetic and real footage that is not part of this project; `benchmarks.transitions` fits new
ones on the synthetic world and compares both (docs/results/accuracy.md).

Measured with the defaults, small frames 128 x 72: mini world, 40 held-out videos: 50 of 50 found, no false positives;
six real clips joined at random by dissolves of 0.3-2 s and fades of 0.5-2 s: 90 of 90, no false positives; rendered
textures whose neighbors often share colors, seeds not used for tuning: F1 0.95 (59 of 64, 1 false positive).

Source of the contrast parabola: Alattar 1993; Truong, Dorai, Venkatesh 2000.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.scenes.plan import Boundary

_LENGTHS = (6, 8, 11, 15, 21, 30, 42, 60, 84)
_POINTS = 9
_RAMP = np.linspace(0, 1, _POINTS, dtype=np.float32)
_BLOCK = 32
_EXTENT = 24
_ALIKE = 0.97
_FLAT = 0.02
_MIN_DISTANCE = 4.0
"""Minimum gray-level distance between the ends of a window; below it, single precision is not enough."""
_HISTORY = 2 * _LENGTHS[-1] + _BLOCK + _EXTENT + 2
"""Samples until a transition is final: its length, the same again for a better candidate, and a margin to grow."""
_THUMB = (16, 9)
_TEXTURE = (64, 36)
_BLUR_PX = 0.8


class BlendWeights(NamedTuple):
    """Logistic regression over what `measure_windows` gives; log-odds that a window is a transition."""

    distance: float
    line: float
    energy: float
    sag: float
    constant: float


WEIGHTS = BlendWeights(distance=2.71, line=-17.9, energy=-19.9, sag=-0.62, constant=-4.2)


class GradualOptions(Options):
    """Second pass, for gradual transitions."""

    enabled: bool = Field(default=True, description="search for dissolves and fades")
    min_evidence: float = Field(
        default=1.5, description="minimum log-odds of a transition; higher = fewer, more certain ones"
    )
    min_spacing_s: float = Field(
        default=0.025, gt=0, description="minimum seconds between frames; frames in between are skipped"
    )
    max_step_share: float = Field(
        default=0.7, gt=0, le=1, description="maximum fraction of the change in one frame; above it is a hard cut"
    )


class _Window(NamedTuple):
    evidence: float
    start: int
    end: int

    def overlaps(self, other: "_Window") -> bool:
        """Whether the two windows share more than an endpoint."""
        return self.start < other.end and other.start < self.end


class GradualFinder:
    """Finds gradual transitions in a stream of small frames.

    Attributes:
        settled_s: transitions that start before this time are final.
    """

    def __init__(self, options: GradualOptions, weights: BlendWeights = WEIGHTS):
        self.settled_s = float("-inf")
        self._options, self._weights = options, weights
        self._times: list[float] = []
        self._thumbs: list[np.ndarray] = []
        self._energies: list[float] = []
        self._n_samples = self._n_done = 0
        self._waiting: list[_Window] = []
        self._recent: deque[float] = deque(maxlen=_HISTORY)

    def feed(self, time_s: float, frame_bgr: np.ndarray) -> list[Boundary]:
        """Take the next frame, (h, w, 3) uint8; return the transitions that are now final."""
        if self._times and time_s - self._times[-1] < self._options.min_spacing_s - 1e-6:
            return []
        thumb, energy = frame_features(frame_bgr)
        self._times.append(time_s)
        self._thumbs.append(thumb)
        self._energies.append(energy)
        self._recent.append(time_s)
        self._n_samples += 1
        if self._n_samples - self._n_done < _BLOCK:
            return []
        self._search()
        if len(self._recent) == self._recent.maxlen:
            self.settled_s = self._recent[0]
        return self._find_certain(self._n_samples - _LENGTHS[-1])

    def finish(self) -> list[Boundary]:
        """Return the transitions still open at the end of the video."""
        self._search()
        return self._find_certain(self._n_samples + 1)

    def _search(self) -> None:
        """Score every window that ends in the samples added since the last search."""
        n_kept = min(len(self._times), self._n_samples - self._n_done + _LENGTHS[-1])
        first = self._n_samples - n_kept
        windows = candidate_windows(self._n_done - first, n_kept, first)
        if len(windows):
            thumbs, energies = np.stack(self._thumbs[-n_kept:]), np.array(self._energies[-n_kept:], np.float32)
            measures, possible = measure_windows(thumbs, energies, windows, self._options.max_step_share)
            evidence = np.where(possible, add_evidence(measures, self._weights), -np.inf)
            self._waiting += [
                _Window(float(evidence[k]), int(windows[k, 0]) + first, int(windows[k, -1]) + first)
                for k in np.flatnonzero(evidence > self._options.min_evidence)
            ]
        self._n_done = self._n_samples

    def _find_certain(self, before_sample: int) -> list[Boundary]:
        """Best windows that no later window can overlap; drops the weaker ones they overlap."""
        chosen: list[_Window] = []
        better: list[_Window] = []
        for window in sorted(self._waiting, key=lambda one: (-one.evidence, one.start)):
            if not any(window.overlaps(other) for other in better):
                better.append(window)
                if window.end < before_sample:
                    chosen.append(window)
        self._waiting = [one for one in self._waiting if not any(one.overlaps(other) for other in chosen)]
        found = sorted(self._grow(window) for window in chosen)
        self._times, self._thumbs = self._times[-_HISTORY:], self._thumbs[-_HISTORY:]
        self._energies = self._energies[-_HISTORY:]
        return found

    def _grow(self, window: _Window) -> Boundary:
        """Extend the window while neighboring steps continue in its direction: any part of a fade is itself a fade."""
        first = self._n_samples - len(self._times)
        start, end = window.start - first, window.end - first
        change = self._thumbs[end] - self._thumbs[start]
        enough = 0.3 * float(change @ change) / (end - start)
        for _ in range(_EXTENT):
            if start == 0 or float((self._thumbs[start] - self._thumbs[start - 1]) @ change) < enough:
                break
            start -= 1
        for _ in range(_EXTENT):
            if end + 1 >= len(self._thumbs) or float((self._thumbs[end + 1] - self._thumbs[end]) @ change) < enough:
                break
            end += 1
        return Boundary(self._times[start], self._times[end], "gradual")


def frame_features(frame_bgr: np.ndarray) -> tuple[np.ndarray, float]:
    """Thumbnail as a flat vector, and gradient energy of the luma, blurred against sub-pixel shifts."""
    import cv2

    thumb = cv2.resize(frame_bgr, _THUMB, interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    gray = cv2.cvtColor(cv2.resize(frame_bgr, _TEXTURE, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    gray = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), _BLUR_PX)
    across, down = np.subtract(gray[:, 1:], gray[:, :-1]).ravel(), np.subtract(gray[1:], gray[:-1]).ravel()
    return thumb, float(across @ across) / across.size + float(down @ down) / down.size


def candidate_windows(done: int, n_kept: int, first: int) -> np.ndarray:
    """Indices (windows, 9) of evenly spread samples of every window that ends in [done, n_kept); long ones in strides.

    Args:
        first: index of the first kept sample in the video, so that strides do not depend on block boundaries.
    """
    parts = []
    for length in _LENGTHS:
        stride = max(1, length // 8)
        ends = np.arange(max(done, length), n_kept)
        ends = ends[(ends + first) % stride == 0]
        parts.append((ends - length)[:, None] + np.rint(_RAMP * length).astype(int))
    return np.concatenate(parts)


def add_evidence(measures: np.ndarray, weights: BlendWeights) -> np.ndarray:
    """Log-odds (windows,) that each window is a blend of its first into its last frame, if that is possible."""
    distance, line, misfit, sag = measures.T
    evidence: np.ndarray = (
        weights.distance * distance
        + weights.line * line
        + weights.energy * misfit
        + weights.sag * sag
        + weights.constant
    )
    return evidence


def measure_windows(
    thumbs: np.ndarray, energies: np.ndarray, windows: np.ndarray, max_step_share: float
) -> tuple[np.ndarray, np.ndarray]:
    """What distinguishes a blend from other changes, for each window; all distances come from one matrix of inner
    products.

    Args:
        thumbs, energies: `frame_features` of the samples, (samples, 432) and (samples,) float32.
        windows: indices of samples, from `candidate_windows`.
        max_step_share: see `GradualOptions`.

    Returns:
        (windows, 4) float32: log of the distance between the ends in gray levels; squared distance of the samples from
        the straight line between the ends, as a share of the ends' own; distance of the energies from a blend's
        parabola; how far their sag is from that of a blend. And (windows,) bool: whether a blend is possible.
    """
    means = thumbs.mean(1, keepdims=True)
    shapes = thumbs - means
    inner = shapes @ shapes.T
    level = means - means.mean()
    products = inner + thumbs.shape[1] * level * level.T
    points, first, last = windows, windows[:, :1], windows[:, -1:]
    norms = np.diagonal(products)
    size = (norms[first] + norms[last] - 2 * products[first, last])[:, 0]
    ramp, back = _RAMP, 1 - _RAMP
    off_line = norms[points] + back**2 * norms[first] + ramp**2 * norms[last]
    off_line += 2 * (
        ramp * back * products[first, last] - back * products[points, first] - ramp * products[points, last]
    )
    line = off_line[:, 1:-1].sum(1) / ((_POINTS - 2) * size + 1e-3)
    before, after = points[:, :-1], points[:, 1:]
    steps = (norms[before] + norms[after] - 2 * products[before, after]).max(1)
    misfit, sag = _contrast(energies[windows])
    distance = 0.5 * np.log(np.maximum(size, 0) / thumbs.shape[1] + 1e-6)
    hopeless = (steps > max_step_share**2 * size) | (size < thumbs.shape[1] * _MIN_DISTANCE**2)
    possible = ~(hopeless | _same_but_for_light(inner, energies, windows))
    return np.stack([distance, line, misfit, np.abs(sag - 1)], axis=1), possible


def _contrast(energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Relative distance of energies (windows, 9) from a blend's parabola, and their sag: 0 = straight, 1 = a blend."""
    start, end = energy[:, :1], energy[:, -1:]
    straight = (1 - _RAMP) * start + _RAMP * end
    blended = (1 - _RAMP) ** 2 * start + _RAMP**2 * end
    misfit = np.sqrt(((energy - blended)[:, 1:-1] ** 2).mean(1)) / (straight.mean(1) + 1e-6)
    full_sag = (blended - straight)[:, 1:-1]
    sag = ((energy - straight)[:, 1:-1] * full_sag).sum(1) / ((full_sag * full_sag).sum(1) + 1e-6)
    return misfit, sag


def _same_but_for_light(inner: np.ndarray, energies: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Whether the last frame is just the first one, brighter or darker but not black: a lighting change."""
    first, last = windows[:, 0], windows[:, -1]
    alike = inner[first, last] > _ALIKE * np.sqrt(inner[first, first] * inner[last, last])
    weaker, stronger = np.minimum(energies[first], energies[last]), np.maximum(energies[first], energies[last])
    return np.asarray(alike & (weaker > _FLAT * stronger))
