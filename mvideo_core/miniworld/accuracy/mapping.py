"""From a source video's truth to a clip's pixels and frames, the way the cut stage made the clip.

Time: clip frame k shows what is on screen at start_s + k / fps, that is source frame floor(t * source fps).
Space ("cover"): the largest centered rectangle of the clip's shape, whole source pixels, scaled to the clip.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import ClipRow
from mvideo_core.masks import MaskSequence
from mvideo_core.miniworld.world.truth import SourceTruth, TruthObject, TruthShot, read_masks

Fit = Literal["cover", "contain", "stretch"]
Rect = tuple[int, int, int, int]

MIN_AREA_FRAC = 0.0012
MIN_VISIBLE_FRAC = 0.3
"""What counts as an object to be found on a frame; the world's own rule (docs/reference/world.md)."""


@dataclass(frozen=True)
class Fitting:
    """Mapping of pixels: `source` (x0, y0, x1, y1) is scaled to `target`; the rest of a clip is bars."""

    source: Rect
    target: Rect
    width: int
    height: int

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """(N, 4) xyxy boxes of the source in clip pixels, clipped to the frame; NaN if nothing is left."""
        sx0, sy0, sx1, sy1 = self.source
        tx0, ty0, tx1, ty1 = self.target
        scale = np.array([(tx1 - tx0) / (sx1 - sx0), (ty1 - ty0) / (sy1 - sy0)] * 2)
        out = (boxes - np.array([sx0, sy0, sx0, sy0])) * scale + np.array([tx0, ty0, tx0, ty0])
        out = np.clip(out, (tx0, ty0, tx0, ty0), (tx1, ty1, tx1, ty1))
        out[(out[:, 2] <= out[:, 0]) | (out[:, 3] <= out[:, 1])] = np.nan
        return out

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """A source mask (H, W) bool in clip pixels: a clip pixel is set if at least half of it is covered."""
        import cv2

        sx0, sy0, sx1, sy1 = self.source
        tx0, ty0, tx1, ty1 = self.target
        part = np.ascontiguousarray(mask[sy0:sy1, sx0:sx1]).astype(np.uint8) * 255
        down = tx1 - tx0 <= sx1 - sx0
        how = cv2.INTER_AREA if down else cv2.INTER_LINEAR
        out = np.zeros((self.height, self.width), bool)
        out[ty0:ty1, tx0:tx1] = cv2.resize(part, (tx1 - tx0, ty1 - ty0), interpolation=how) >= 128
        return out

    @property
    def area_scale(self) -> float:
        """Clip pixels per source pixel."""
        sx0, sy0, sx1, sy1 = self.source
        tx0, ty0, tx1, ty1 = self.target
        return (tx1 - tx0) * (ty1 - ty0) / ((sx1 - sx0) * (sy1 - sy0))


def fit_frame(source_w: int, source_h: int, width: int, height: int, fit: Fit = "cover") -> Fitting:
    """Mapping from a source frame to a clip frame.

    Raises:
        ConfigError: unknown fit.
    """
    whole = (0, 0, source_w, source_h)
    if fit == "stretch":
        return Fitting(whole, (0, 0, width, height), width, height)
    if fit == "cover":
        w = int(min(source_w, source_h * width / height))
        h = int(min(source_h, source_w * height / width))
        x, y = (source_w - w) // 2, (source_h - h) // 2
        return Fitting((x, y, x + w, y + h), (0, 0, width, height), width, height)
    if fit == "contain":
        shape = source_w / source_h
        w = int(min(width, height * shape) / 2) * 2
        h = int(min(height, width / shape) / 2) * 2
        x, y = (width - w) // 2, (height - h) // 2
        return Fitting(whole, (x, y, x + w, y + h), width, height)
    raise ConfigError(f"fit {fit!r} is unknown; allowed: cover, contain, stretch")


def source_frames(start_s: float, n_frames: int, clip_fps: float, source_fps: Fraction, n_source: int) -> list[int]:
    """Index of the source frame on screen at each clip frame; the last one is repeated past the end."""
    rate = Fraction(clip_fps).limit_denominator(1001)
    first = Fraction(round(start_s * 1_000_000), 1_000_000)
    on_grid = Fraction(round(first * rate), 1) / rate
    if abs(on_grid - first) < Fraction(1, 10_000):
        first = on_grid
    return [min(n_source - 1, math.floor((first + k / rate) * source_fps)) for k in range(n_frames)]


def shot_on_screen(truth: SourceTruth, frame: int) -> TruthShot:
    """The shot that a source frame shows; during a transition, the one with more weight."""
    showing = [shot for shot in truth.shots if shot.first_frame <= frame < shot.first_frame + shot.n_frames]
    assert showing, f"frame {frame} of {truth.n_frames} is in no shot"
    if len(showing) == 1:
        return showing[0]
    first, second = showing
    overlap = first.first_frame + first.n_frames - second.first_frame
    return second if frame - second.first_frame >= overlap / 2 else first


@dataclass(frozen=True)
class ClipTruth:
    """Ground truth of one clip, in its own pixels and frames.

    Attributes:
        frames: source frame of each clip frame.
        n_inside: number of leading clip frames that belong to the first frame's shot.
    """

    truth_path: Path
    truth: SourceTruth
    clip: ClipRow
    shot: TruthShot
    fit: Fitting
    frames: list[int]
    n_inside: int

    @property
    def objects(self) -> Sequence[TruthObject]:
        """Objects of the shot."""
        return self.shot.objects

    def local(self, k: int) -> int:
        """Index within the shot of clip frame k."""
        return self.frames[k] - self.shot.first_frame

    @cached_property
    def _visible(self) -> MaskSequence:
        return read_masks(self.truth_path, self.shot)

    @cached_property
    def _amodal(self) -> MaskSequence:
        return read_masks(self.truth_path, self.shot, amodal=True)

    def visible(self, k: int, obj: int) -> np.ndarray:
        """(H, W) bool: visible part of an object in clip frame k."""
        return self.fit.mask(self._visible.mask(self.local(k), obj))

    def amodal(self, k: int, obj: int) -> np.ndarray:
        """(H, W) bool: full silhouette inside the clip frame."""
        return self.fit.mask(self._amodal.mask(self.local(k), obj))

    def objects_at(self, k: int) -> tuple[list[int], list[int]]:
        """Expected objects in clip frame k, and ignored ones (too small or too occluded)."""
        asked: list[int] = []
        ignored: list[int] = []
        for thing in self.objects:
            seen = int(self.visible(k, thing.object_id).sum())
            if seen:
                (asked if self.counts(k, thing.object_id, seen) else ignored).append(thing.object_id)
        return asked, ignored

    def counts(self, k: int, obj: int, seen_px: int) -> bool:
        """Whether an object with this visible area is expected in clip frame k."""
        full = self.objects[obj].full_px[self.local(k)] * self.fit.area_scale
        big = seen_px >= MIN_AREA_FRAC * self.fit.width * self.fit.height
        return bool(big and seen_px >= MIN_VISIBLE_FRAC * full)

    def box(self, k: int, obj: int) -> np.ndarray:
        """(4,) xyxy of the visible mask in clip pixels, half-open; NaN if nothing is visible."""
        mask = self.visible(k, obj)
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        if not len(rows):
            return np.full(4, np.nan)
        return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


@dataclass(frozen=True)
class Track:
    """Ground truth of one object over the clip's frames in its shot, (T, H, W) bool and per-frame areas."""

    visible: np.ndarray
    amodal_area: np.ndarray
    seen_area: np.ndarray


def track_of(clip: ClipTruth, obj: int) -> Track:
    """Ground truth of one object over the clip's frames in its shot."""
    visible = np.stack([clip.visible(k, obj) for k in range(clip.n_inside)])
    amodal = np.array([int(clip.amodal(k, obj).sum()) for k in range(clip.n_inside)])
    return Track(visible, amodal, visible.sum(axis=(1, 2)))


def clip_truth(truth_path: str | Path, truth: SourceTruth, clip: ClipRow, fit: Fit = "cover") -> ClipTruth:
    """Ground truth of one clip; masks are read on first use."""
    fitted = fit_frame(truth.width, truth.height, clip.width, clip.height, fit)
    rate = Fraction(truth.fps_num, truth.fps_den)
    frames = source_frames(clip.start_s, clip.n_frames, clip.fps, rate, truth.n_frames)
    shot = shot_on_screen(truth, frames[0])
    end = shot.first_frame + shot.n_frames
    return ClipTruth(Path(truth_path), truth, clip, shot, fitted, frames, sum(frame < end for frame in frames))
