"""Masks as careless annotation yields them: grown, hulls, boxes, jittering, with frames missing, or keyframes only.

Every function changes each object on its own and keeps number of frames and objects, and size. Randomness comes from
the given generator. Shape letters: T frames, N objects, H, W pixels.
"""

from collections.abc import Callable

import numpy as np

from mvideo_core.editing.geometry import measure_motion, shift
from mvideo_core.editing.morphology import dilate, hull, signed_distance
from mvideo_core.editing.warp import pixels_of, warp_edges
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.clip import Mask, RunWriter, edges_of, take_frames
from mvideo_core.masks.measure import box_xyxy

Change = Callable[[int, int, np.ndarray], np.ndarray]
"""(frame, object, its edges) -> new edges."""


def dilate_masks(masks: MaskSequence, px: float) -> MaskSequence:
    """Every object grown by `px` on all sides."""
    return _change_pixels(masks, lambda mask_HW: dilate(mask_HW, px))


def hull_masks(masks: MaskSequence) -> MaskSequence:
    """The convex hull of every object."""
    return _change_pixels(masks, hull)


def box_masks(masks: MaskSequence, margin_frac: float) -> MaskSequence:
    """The box of every object, wider by a margin on all sides, as a share of the box's own width and height."""

    def change(frame: int, obj: int, edges: np.ndarray) -> np.ndarray:
        x0, y0, x1, y1 = box_xyxy(edges, masks.width)
        dx, dy = round(margin_frac * (x1 - x0)), round(margin_frac * (y1 - y0))
        left, top = max(x0 - dx, 0), max(y0 - dy, 0)
        filled = np.ones((min(y1 + dy, masks.height) - top, min(x1 + dx, masks.width) - left), np.bool_)
        return edges_of(filled, top, left, masks.width)

    return _change(masks, change)


def jitter_masks(masks: MaskSequence, px: float, rng: np.random.Generator) -> MaskSequence:
    """Every object moved by whole pixels, uniform in -px..px along both axes, independently in every frame."""
    moves_TN2 = np.round(rng.uniform(-px, px, (masks.n_frames, masks.n_objects, 2)))
    maps_TN23 = shift(moves_TN2[..., 0], moves_TN2[..., 1])

    def change(frame: int, obj: int, edges: np.ndarray) -> np.ndarray:
        return warp_edges(edges, maps_TN23[frame, obj], masks.height, masks.width)

    return _change(masks, change)


def drop_frames(masks: MaskSequence, share: float, rng: np.random.Generator) -> MaskSequence:
    """Each frame but the first loses its masks with probability `share`; the masks of the previous frame are held."""
    kept_T = rng.random(masks.n_frames) >= share
    return take_frames(masks, np.maximum.accumulate(np.where(kept_T, np.arange(masks.n_frames), 0)))


def keep_keyframes(masks: MaskSequence, step_frames: int) -> MaskSequence:
    """Masks of frame 0, of every `step_frames`-th and of the last frame; between them every object is interpolated.

    Its center moves on a straight line and its outline changes evenly. An object that is in only one of the two
    keyframes is held over the half next to that keyframe.
    """
    last = masks.n_frames - 1
    motion = measure_motion(masks, 1.0)

    def change(frame: int, obj: int, edges: np.ndarray) -> np.ndarray:
        before = frame // step_frames * step_frames
        after = min(before + step_frames, last)
        if frame in (before, after):
            return edges
        share = (frame - before) / (after - before)
        seen = motion.visible_TN[[before, after], obj]
        if not seen.all():
            return masks.mask_edges(before if share < 0.5 else after, obj)
        keys = (masks.mask_edges(before, obj), masks.mask_edges(after, obj))
        centers = (motion.centers_TN2[before, obj], motion.centers_TN2[after, obj])
        return edges_of(_tween(keys, centers, share, masks.height, masks.width))

    return _change(masks, change, empty_too=True)


def _tween(
    keys: tuple[np.ndarray, np.ndarray], centers: tuple[np.ndarray, np.ndarray], share: float, height: int, width: int
) -> Mask:
    """Both outlines moved to the center in between, their distances mixed."""
    center = centers[0] + share * (centers[1] - centers[0])
    mixed_HW = np.zeros((height, width), np.float64)
    for edges, own, weight in zip(keys, centers, (1 - share, share), strict=True):
        dx, dy = np.round(center - own)
        mask_HW = pixels_of(warp_edges(edges, shift(dx, dy), height, width), height, width)
        mixed_HW += weight * np.clip(signed_distance(mask_HW), -(height + width), height + width)
    inside: Mask = mixed_HW <= 0
    return inside


def _change_pixels(masks: MaskSequence, change: Callable[[Mask], Mask]) -> MaskSequence:
    def of_edges(frame: int, obj: int, edges: np.ndarray) -> np.ndarray:
        return edges_of(change(masks.mask(frame, obj)))

    return _change(masks, of_edges)


def _change(masks: MaskSequence, change: Change, empty_too: bool = False) -> MaskSequence:
    """Every mask changed; empty ones stay empty unless `empty_too`."""
    writer = RunWriter(*masks.shape)
    for frame in range(masks.n_frames):
        for obj in range(masks.n_objects):
            edges = masks.mask_edges(frame, obj)
            writer.append(change(frame, obj, edges) if len(edges) or empty_too else edges)
    return writer.finish()
