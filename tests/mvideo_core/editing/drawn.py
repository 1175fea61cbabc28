"""Drawn masks with known boxes."""

import numpy as np

from mvideo_core.editing import MaskClip
from mvideo_core.masks import encode
from mvideo_core.masks.measure import boxes_xyxy

HEIGHT, WIDTH, FPS = 40, 60, 8.0


def square_path(n_frames: int = 5, step: int = 4, side: int = 10, top: int = 10, left: int = 8) -> MaskClip:
    """A square that goes `step` px to the right in each frame."""
    masks = np.zeros((n_frames, 1, HEIGHT, WIDTH), bool)
    for frame in range(n_frames):
        masks[frame, 0, top : top + side, left + step * frame : left + step * frame + side] = True
    return MaskClip(encode(masks), FPS, ("square",))


def noise(n_frames: int = 3, n_objects: int = 2, density: float = 0.4, seed: int = 0) -> MaskClip:
    """Masks without any order, overlapping."""
    masks = np.random.default_rng(seed).random((n_frames, n_objects, HEIGHT, WIDTH)) < density
    return MaskClip(encode(masks), FPS, tuple(f"noise {n}" for n in range(n_objects)))


def block(box: tuple[int, int, int, int], n_frames: int = 1, label: str = "", fps: float = FPS) -> MaskClip:
    """A box (x0, y0, x1, y1) that stands still."""
    masks = np.zeros((n_frames, 1, HEIGHT, WIDTH), bool)
    masks[:, 0, box[1] : box[3], box[0] : box[2]] = True
    return MaskClip(encode(masks), fps, (label,))


def boxes(clip: MaskClip, obj: int = 0) -> list[list[int]]:
    """Boxes of one object, frame by frame."""
    return boxes_xyxy(clip.sequence)[:, obj].tolist()
