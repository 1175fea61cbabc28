"""Masks of any size and rate on the frames of a video. Shape letters: T frames, N objects, H, W pixels."""

import math
from typing import Literal

import numpy as np

from mvideo_core.editing.resample import nearest_frames, placement
from mvideo_core.errors import MediaError
from mvideo_core.masks import MaskSequence, MaskWriter

GridFit = Literal["same", "crop", "letterbox", "stretch"]
MAX_SHAPE_DIFFERENCE = 0.02
"""Width over height may differ by this share and still count as the same shape: sides rounded to multiples of 16."""


def frames_on_grid(
    n_masks: int, masks_fps: float | None, n_frames: int, fps: float, align: bool = False
) -> np.ndarray:  # fmt: skip
    """Number of the mask frame that belongs to video frame 0, 1, ...

    As many masks as frames: k belongs to k, whatever the rates say. Else, with both rates known, the mask nearest in
    time. Masks that end before the video does, or after it, are an error unless `align`, which keeps the frames that
    both have.

    Raises:
        MediaError: the lengths do not fit.
    """
    if n_masks == n_frames:
        return np.arange(n_frames)
    ratio = masks_fps / fps if masks_fps else 1.0
    n_grid = math.floor((n_masks - 1) / ratio + 1e-6) + 1 if n_masks else 0
    if n_grid != n_frames and not align:
        rate = f"{masks_fps:g} per second" if masks_fps else "rate unknown"
        raise MediaError(
            f"{n_masks} mask frames ({rate}) fill {n_grid} frames of a video of {n_frames} at {fps:g} per second; "
            "give masks of its length, or set `align: true` to score the frames that both have"
        )
    common = np.arange(min(n_grid, n_frames))
    return np.minimum(nearest_frames(common / fps, masks_fps), n_masks - 1) if masks_fps else common


def on_grid(
    masks: MaskSequence, frames: np.ndarray, height: int, width: int, fit: GridFit = "same"
) -> MaskSequence:  # fmt: skip
    """The mask frames of these numbers at another size, pixel by nearest pixel (centres).

    Args:
        fit: shapes differ: "same" = that is an error; crop, letterbox, stretch as in `editing.ResampleOptions`.

    Raises:
        MediaError: shapes differ and `fit` is "same".
    """
    check_shape(masks, height, width, fit)
    rows, columns = _nearest_pixels(masks, height, width, fit)
    outside = np.logical_or.outer((rows < 0) | (rows >= masks.height), (columns < 0) | (columns >= masks.width))
    source = np.ix_(np.clip(rows, 0, masks.height - 1), np.clip(columns, 0, masks.width - 1))
    writer = MaskWriter(masks.n_objects, height, width)
    for frame in frames.tolist():
        placed = [masks.mask(frame, n)[source] & ~outside for n in range(masks.n_objects)]
        writer.append(np.stack(placed) if placed else np.zeros((0, height, width), np.bool_))
    return writer.finish()


def check_shape(masks: MaskSequence, height: int, width: int, fit: GridFit) -> None:
    """Nothing when the masks can be brought to this size.

    Raises:
        MediaError: shapes differ and `fit` is "same".
    """
    if fit == "same" and abs(math.log(masks.width * height / (masks.height * width))) > MAX_SHAPE_DIFFERENCE:
        raise MediaError(
            f"masks of {masks.width}x{masks.height} px for a video of {width}x{height}: the shapes differ; say with "
            "`fit` (crop, letterbox or stretch) how the generator brought them to its frame"
        )


def _nearest_pixels(masks: MaskSequence, height: int, width: int, fit: GridFit) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the mask under the centre of each new row and column; may lie outside."""
    place = placement(masks.height, masks.width, height, width, "stretch" if fit == "same" else fit)
    rows = np.floor((np.arange(height) + 0.5 - place.top) / place.scale_y + 1e-9).astype(np.int64)
    columns = np.floor((np.arange(width) + 0.5 - place.left) / place.scale_x + 1e-9).astype(np.int64)
    return rows, columns
