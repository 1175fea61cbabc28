"""Ids of objects over the clips of one shot: where one clip ends and the next begins, equal masks are one object."""

from collections.abc import Iterable, Iterator

import numpy as np

from mvideo_core.masks import MaskSequence
from mvideo_core.masks.measure import iou

REACH_FRAMES = 4
"""An object may be hidden for this many frames on either side of the boundary."""
CONTINUES_IOU = 0.3
"""Lower than for masks of one frame: the object has moved on by a frame or more."""


def shot_ids(clips: Iterable[MaskSequence], first_id: int = 0) -> Iterator[list[int]]:
    """Ids of each clip's objects; an object that continues from the clip before keeps its id, others get new ones.

    Args:
        clips: consecutive clips of one shot, in order; two are held at a time.
        first_id: the lowest new id.
    """
    before, known, n_ids = None, list[int](), first_id
    for clip in clips:
        earlier: dict[int, int] = {} if before is None else continue_objects(before, clip)
        ids = []
        for obj in range(clip.n_objects):
            if obj in earlier:
                ids.append(known[earlier[obj]])
            else:
                ids.append(n_ids)
                n_ids += 1
        yield ids
        before, known = clip, ids


def continue_objects(before: MaskSequence, after: MaskSequence) -> dict[int, int]:
    """Object of the second clip -> the object of the first that it continues, one to one, highest total IoU."""
    from scipy.optimize import linear_sum_assignment

    if before.shape[2:] != after.shape[2:] or not before.n_objects or not after.n_objects:
        return {}
    ends = [_find_visible(before, obj, range(before.n_frames - 1, -1, -1)) for obj in range(before.n_objects)]
    starts = [_find_visible(after, obj, range(after.n_frames)) for obj in range(after.n_objects)]
    overlap = np.array([[iou(start, end, empty=0.0) for end in ends] for start in starts])
    overlap[overlap < CONTINUES_IOU] = 0.0
    rows, columns = linear_sum_assignment(-overlap)
    return {int(a): int(b) for a, b in zip(rows, columns, strict=True) if overlap[a, b] > 0}


def _find_visible(clip: MaskSequence, obj: int, frames: range) -> np.ndarray:
    """Runs of the first non-empty mask in the first few of these frames; none if there is none."""
    for frame in frames[:REACH_FRAMES]:
        if len(edges := clip.mask_edges(frame, obj)):
            return edges
    return np.zeros(0, np.int32)
