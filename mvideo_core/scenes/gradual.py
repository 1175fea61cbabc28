"""Dissolves and fades, which hard-cut detectors miss: windows in which one picture is blended into another.

Two facts single out a blend x(a) = (1 - a) A + a B with a growing evenly from 0 to 1, whatever moves in A and B:

* at thumbnail size the frames lie on the straight line from A to B (camera motion leaves that line);
* two unrelated pictures lose contrast half-way: gradient energy follows (1 - a)^2 E_A + a^2 E_B, a parabola that sags
  to half (motion and light changes keep it on or near the straight line between E_A and E_B).

A fade is a blend with a flat picture. For every window of several lengths the two residuals and the distance of the
ends give one number of evidence, a logistic regression whose weights were fitted on drawn and real footage; of
overlapping windows the one with most evidence wins.

Source of the contrast parabola: Alattar 1993; Truong, Dorai, Venkatesh 2000.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
from pydantic import Field

from mvideo_core.options import Options
from mvideo_core.scenes.plan import Boundary

_LENGTHS = (6, 8, 11, 15, 21, 30, 42, 60, 84)
_POINTS = 9
_BLOCK = 32
_EXTENT = 24
_ALIKE = 0.97
_FLAT = 0.02
_HISTORY = 2 * _LENGTHS[-1] + _BLOCK + _EXTENT + 2
"""Samples until a transition is certain: its own length, as long again for a better one, and room to grow."""
_THUMB = (16, 9)
_TEXTURE = (80, 45)
_WEIGHTS = {"distance": 2.71, "line": -17.9, "energy": -19.9, "sag": -0.62, "constant": -4.2}


class GradualOptions(Options):
    """The second look for transitions that are not sudden."""

    enabled: bool = Field(default=True, description="search for dissolves and fades")
    min_evidence: float = Field(default=0.5, description="log-odds of a transition; higher = fewer, surer ones")
    min_spacing_s: float = Field(default=0.025, gt=0, description="seconds; of faster videos only some frames are used")
    max_step_share: float = Field(
        default=0.5, gt=0, le=1, description="share of the whole change one frame may make; above it is a hard cut"
    )


class _Window(NamedTuple):
    evidence: float
    start: int
    end: int

    def overlaps(self, other: "_Window") -> bool:
        """Whether they share more than an end."""
        return self.start < other.end and other.start < self.end


class GradualFinder:
    """Finds gradual transitions in a stream of small frames.

    Attributes:
        settled_s: no transition that starts before this time will be reported any more.
    """

    def __init__(self, options: GradualOptions):
        self.settled_s = float("-inf")
        self._options = options
        self._times: list[float] = []
        self._thumbs: list[np.ndarray] = []
        self._energies: list[float] = []
        self._n_samples = self._n_done = 0
        self._waiting: list[_Window] = []
        self._recent: deque[float] = deque(maxlen=_HISTORY)

    def feed(self, time_s: float, frame_bgr: np.ndarray) -> list[Boundary]:
        """Take the next frame, (h, w, 3) uint8; transitions that are certain now."""
        if self._times and time_s - self._times[-1] < self._options.min_spacing_s - 1e-6:
            return []
        thumb, energy = _features(frame_bgr)
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
        return self._certain(self._n_samples - _LENGTHS[-1])

    def finish(self) -> list[Boundary]:
        """Transitions still open at the end of the video."""
        self._search()
        return self._certain(self._n_samples + 1)

    def _search(self) -> None:
        """Judge every window that ends among the samples that came since the last search."""
        first = self._n_samples - len(self._times)
        thumbs, energies = np.stack(self._thumbs), np.array(self._energies, np.float32)
        jumps = np.linalg.norm(np.diff(thumbs, axis=0), axis=1)
        for length in _LENGTHS:
            stride = max(1, length // 8)
            ends = np.arange(max(self._n_done, length), self._n_samples)
            ends = ends[ends % stride == 0] - first
            ends = ends[ends >= length]  # the very first samples of the video
            if not len(ends):
                continue
            starts = ends - length
            evidence = _evidence(thumbs, energies, starts, length)
            steepest = np.lib.stride_tricks.sliding_window_view(jumps, length)[starts].max(1)
            whole = np.linalg.norm(thumbs[ends] - thumbs[starts], axis=1)
            good = (evidence > self._options.min_evidence) & (steepest < self._options.max_step_share * whole)
            self._waiting += [
                _Window(float(evidence[k]), int(starts[k]) + first, int(ends[k]) + first) for k in np.flatnonzero(good)
            ]
        self._n_done = self._n_samples

    def _certain(self, before_sample: int) -> list[Boundary]:
        """Best windows that no later window can overlap, and the end of the weaker ones they overlap."""
        chosen: list[_Window] = []
        better: list[_Window] = []
        for window in sorted(self._waiting, key=lambda one: (-one.evidence, one.start)):
            if not any(window.overlaps(other) for other in better):
                better.append(window)
                if window.end < before_sample:
                    chosen.append(window)
        self._waiting = [one for one in self._waiting if not any(one.overlaps(other) for other in chosen)]
        found = sorted(self._grown(window) for window in chosen)
        self._times, self._thumbs = self._times[-_HISTORY:], self._thumbs[-_HISTORY:]
        self._energies = self._energies[-_HISTORY:]
        return found

    def _grown(self, window: _Window) -> Boundary:
        """The window, widened while neighbouring steps go on in its direction: any part of a fade is itself a fade."""
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


def _features(frame_bgr: np.ndarray) -> tuple[np.ndarray, float]:
    """Thumbnail as a flat vector, and gradient energy of the half-size luma."""
    import cv2

    thumb = cv2.resize(frame_bgr, _THUMB, interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    gray = cv2.cvtColor(cv2.resize(frame_bgr, _TEXTURE, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    gray = gray.astype(np.float32)
    across, down = gray[:, 1:] - gray[:, :-1], gray[1:] - gray[:-1]
    return thumb, float((across * across).mean() + (down * down).mean())


def _evidence(thumbs: np.ndarray, energies: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Log-odds that a blend spans [start, start + length], one per start."""
    ramp = np.linspace(0, 1, _POINTS, dtype=np.float32)
    index = starts[:, None] + np.rint(ramp * length).astype(int)
    frames, energy = thumbs[index], energies[index]
    first, change = frames[:, :1], frames[:, -1:] - frames[:, :1]
    size = (change * change).sum((1, 2))
    off_line = frames[:, 1:-1] - first - change * ramp[None, 1:-1, None]
    line = (off_line * off_line).sum((1, 2)) / ((_POINTS - 2) * size + 1e-3)
    start_e, end_e = energy[:, :1], energy[:, -1:]
    straight = (1 - ramp) * start_e + ramp * end_e
    blended = (1 - ramp) ** 2 * start_e + ramp**2 * end_e
    misfit = np.sqrt(((energy - blended)[:, 1:-1] ** 2).mean(1)) / (straight.mean(1) + 1e-6)
    full_sag = (blended - straight)[:, 1:-1]
    sag = ((energy - straight)[:, 1:-1] * full_sag).sum(1) / ((full_sag * full_sag).sum(1) + 1e-6)
    distance = np.log(np.sqrt(size / thumbs.shape[1]) + 1e-3)
    weights = _WEIGHTS
    evidence = (
        weights["distance"] * distance
        + weights["line"] * line
        + weights["energy"] * misfit
        + weights["sag"] * np.abs(sag - 1)
        + weights["constant"]
    )
    return np.where(_same_but_for_light(frames, energy), -np.inf, evidence)


def _same_but_for_light(frames: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Whether the last frame is the first one, brighter or darker but not black: a mere change of light."""
    first = frames[:, 0] - frames[:, 0].mean(1, keepdims=True)
    last = frames[:, -1] - frames[:, -1].mean(1, keepdims=True)
    norms = (first * first).sum(1) * (last * last).sum(1)
    alike = (first * last).sum(1) > _ALIKE * np.sqrt(norms)
    weaker, stronger = np.minimum(energy[:, 0], energy[:, -1]), np.maximum(energy[:, 0], energy[:, -1])
    return np.asarray(alike & (weaker > _FLAT * stronger))
