"""Where objects are, and affine maps in pixels. A point (x, y) is continuous: pixel (row r, column c) covers
[c, c + 1) x [r, r + 1). A map is a (2, 3) matrix: (x', y') = A (x, y) + b.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator

from mvideo_core.masks import MaskSequence

Anchor = Annotated[
    Literal["center", "feet", "frame"], BeforeValidator(lambda name: "center" if name == "centre" else name)
]
"""A fixed point; "centre" in older recipes."""


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Where every object is in every frame, for operations that follow objects.

    Attributes:
        fps, width, height: of the sequence.
        centers_TN2: center of mass, px. Frames without the object: interpolated linearly in time.
        feet_TN2: middle of the lower edge of the box, px; the same rule.
        visible_TN: whether the mask has a pixel.
    """

    fps: float
    width: int
    height: int
    centers_TN2: np.ndarray
    feet_TN2: np.ndarray
    visible_TN: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """(T, N)."""
        return self.visible_TN.shape[0], self.visible_TN.shape[1]

    def anchors(self, name: str) -> np.ndarray:
        """(T, N, 2) points by name: "center" or "feet" of each object, or "frame": the middle of the picture."""
        if name == "frame":
            return np.broadcast_to(np.array([self.width / 2, self.height / 2]), self.centers_TN2.shape)
        return self.feet_TN2 if name == "feet" else self.centers_TN2

    def move(self, frames_T: np.ndarray, maps_TN23: np.ndarray) -> "Motion":
        """The motion of the sequence that consists of these frames, transformed by these maps."""
        centers, feet = self.centers_TN2[frames_T], self.feet_TN2[frames_T]
        return Motion(
            self.fps, self.width, self.height, map_points(maps_TN23, centers), map_points(maps_TN23, feet),
            self.visible_TN[frames_T],
        )  # fmt: skip


def measure_motion(sequence: MaskSequence, fps: float) -> Motion:
    """The motion of a sequence, from its runs."""
    n_frames, n_objects, height, width = sequence.shape
    centers = np.full((n_frames, n_objects, 2), np.nan)
    feet = centers.copy()
    for frame in range(n_frames):
        for obj in range(n_objects):
            edges = sequence.mask_edges(frame, obj)
            if len(edges):
                centers[frame, obj], feet[frame, obj] = _points(edges, width)
    visible = ~np.isnan(centers[:, :, 0])
    for points in (centers, feet):
        for obj in range(n_objects):
            _fill(points[:, obj], visible[:, obj], (width / 2, height / 2))
    return Motion(fps, width, height, centers, feet, visible)


def shift(dx: np.ndarray | float, dy: np.ndarray | float) -> np.ndarray:
    """Maps (..., 2, 3) that move by (dx, dy) px, right and down."""
    dx, dy = np.broadcast_arrays(np.asarray(dx, np.float64), np.asarray(dy, np.float64))
    maps = np.zeros((*dx.shape, 2, 3))
    maps[..., 0, 0] = maps[..., 1, 1] = 1
    maps[..., 0, 2], maps[..., 1, 2] = dx, dy
    return maps


def about(linear: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Maps (..., 2, 3) with this linear part (..., 2, 2) that keep the points (..., 2) fixed."""
    linear = np.broadcast_to(linear, (*points.shape[:-1], 2, 2))
    offset = points - np.einsum("...ij,...j->...i", linear, points)
    return np.concatenate([linear, offset[..., None]], axis=-1)


def scaling(factor: np.ndarray | float) -> np.ndarray:
    """Linear parts (..., 2, 2) that scale by `factor`."""
    return np.asarray(factor, np.float64)[..., None, None] * np.eye(2)


def rotation(angle_deg: np.ndarray | float) -> np.ndarray:
    """Linear parts (..., 2, 2) that rotate counter-clockwise on screen (y points down)."""
    angle = np.deg2rad(np.asarray(angle_deg, np.float64))
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)


def map_points(maps: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) transformed by maps (..., 2, 3)."""
    return np.einsum("...ij,...j->...i", maps[..., :2], points) + maps[..., 2]


def after(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The maps (..., 2, 3) that apply `inner` first, then `outer`."""
    linear = np.einsum("...ij,...jk->...ik", outer[..., :2], inner[..., :2])
    return np.concatenate([linear, map_points(outer, inner[..., 2])[..., None]], axis=-1)


def _points(edges: np.ndarray, width: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Center of mass and foot point of one mask."""
    starts, ends = edges[0::2].astype(np.float64), edges[1::2].astype(np.float64)
    rows = starts // width
    left, right, lengths = starts - rows * width, ends - rows * width, ends - starts
    total = lengths.sum()
    center = (float(((left + right) / 2 * lengths).sum() / total), float(((rows + 0.5) * lengths).sum() / total))
    return center, (float(left.min() + right.max()) / 2, float(rows[-1]) + 1)


def _fill(points_T2: np.ndarray, visible_T: np.ndarray, default: tuple[float, float]) -> None:
    """Fill the frames without the object, in place."""
    if not visible_T.any():
        points_T2[:] = default
        return
    times, seen = np.arange(len(points_T2)), np.flatnonzero(visible_T)
    for axis in (0, 1):
        points_T2[:, axis] = np.interp(times, seen, points_T2[seen, axis])
