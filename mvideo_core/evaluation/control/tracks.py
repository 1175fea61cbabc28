"""Masks as paths: where each object is, how large it is, and whether it is visible. Shape letters: T frames, N
objects.
"""

from typing import NamedTuple

import numpy as np

from mvideo_core.editing.geometry import measure_motion
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.measure import area, areas, intersection

COVERED_FRAC = 0.1
"""If other objects cover more than this share of an object's mask, the object is not measured in that frame: the
visible rest has another center.
"""


class Tracks(NamedTuple):
    """Paths of the objects of a mask sequence.

    Attributes:
        centers_TN2: center of mass, px; in frames without the object, interpolated linearly between its neighbors in
            time.
        log_size_TN: natural logarithm of the square root of the area in px; filled in the same way.
        visible_TN: whether the mask has a pixel.
    """

    centers_TN2: np.ndarray
    log_size_TN: np.ndarray
    visible_TN: np.ndarray

    @property
    def size_px(self) -> float:
        """Square root of the area, averaged over visible objects and frames; 1 if there are none."""
        seen = self.log_size_TN[self.visible_TN]
        return float(np.exp(seen).mean()) if len(seen) else 1.0

    def states(self, unit_px: float) -> np.ndarray:
        """(T, N, 3): x and y in units of `unit_px`, and the logarithm of the size."""
        return np.concatenate([self.centers_TN2 / unit_px, self.log_size_TN[..., None]], axis=-1)


def measure_tracks(masks: MaskSequence) -> Tracks:
    """The paths of a mask sequence."""
    motion = measure_motion(masks, 1.0)
    area_TN = areas(masks)
    visible_TN = area_TN > 0
    log_size_TN = 0.5 * np.log(np.maximum(area_TN, 1))
    times = np.arange(masks.n_frames)
    for obj in range(masks.n_objects):
        seen = np.flatnonzero(visible_TN[:, obj])
        if len(seen):
            log_size_TN[:, obj] = np.interp(times, seen, log_size_TN[seen, obj])
    return Tracks(motion.centers_TN2, log_size_TN, visible_TN)


def find_covered(masks: MaskSequence) -> np.ndarray:
    """Whether other objects cover more than COVERED_FRAC of a mask, bool (T, N)."""
    covered = np.zeros((masks.n_frames, masks.n_objects), np.bool_)
    for frame in range(masks.n_frames):
        edges = [masks.mask_edges(frame, obj) for obj in range(masks.n_objects)]
        for obj, mine in enumerate(edges):
            shared = sum(intersection(mine, other) for place, other in enumerate(edges) if place != obj)
            covered[frame, obj] = shared > COVERED_FRAC * area(mine)
    return covered
