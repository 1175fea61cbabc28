"""Match masks of any size and frame rate to a video's frames. Shape letters: T frames, N objects, H, W pixels."""

import math
from typing import Literal, NamedTuple

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.editing.resample import nearest_frames, placement
from mvideo_core.masks import MaskSequence, MaskWriter

GridFit = Literal["same", "crop", "letterbox", "stretch"]
MAX_SHAPE_DIFFERENCE = 0.02
"""Aspect ratios that differ by less than this fraction count as equal: sides are rounded to multiples of 16."""
MAX_UNMATCHED = 0.05
"""With `align`: fraction of masks allowed after the video's end, so that a short video is not scored on its beginning
only.
"""


class GridMatch(NamedTuple):
    """Which mask belongs to which video frame.

    Attributes:
        masks: index of the mask nearest to video frame 0, 1, ..., up to the last frame that has one.
        scored: bool, same length: the frame is the one nearest to its mask's time. If the video has a higher frame rate
            than its masks, frames between two masks are not scored: no mask shows where the object is then.
        n_unmatched: frames of the video after the masks end.
        lost: indices of the masks after the video ends.
    """

    masks: np.ndarray
    scored: np.ndarray
    n_unmatched: int
    lost: np.ndarray


def match_frames(n_masks: int, masks_fps: float | None, n_frames: int, fps: float) -> GridMatch:
    """Match masks and frames by time, mask j at j / masks_fps, frame k at k / fps.

    If there are as many masks as frames, or the masks' rate is unknown, k matches k. Otherwise each mask of the slower
    side gets the nearest frame; anything farther away than half a frame of the slower side is unmatched.
    """
    if n_masks == n_frames or masks_fps is None:
        common = min(n_masks, n_frames)
        return GridMatch(np.arange(common), np.ones(common, np.bool_), n_frames - common, np.arange(common, n_masks))
    times_s, masks_s = np.arange(n_frames) / fps, np.arange(n_masks) / masks_fps
    reach_s = 0.5 / min(fps, masks_fps) + 1e-6
    last_s = masks_s[-1] if n_masks else -1.0
    kept = int(np.count_nonzero(times_s <= last_s + reach_s))
    index = np.minimum(nearest_frames(times_s[:kept], masks_fps), n_masks - 1)
    scored = np.ones(kept, np.bool_)
    if fps > masks_fps * 1.001 and kept:
        partners = np.minimum(nearest_frames(masks_s, fps), kept - 1)
        near = np.abs(times_s[partners] - masks_s) <= reach_s
        scored[:] = False
        scored[partners[near]] = True
        index[partners[near]] = np.flatnonzero(near)
    end_s = times_s[-1] if n_frames else -1.0
    return GridMatch(index, scored, n_frames - kept, np.flatnonzero(masks_s > end_s + reach_s))


def check_match(found: GridMatch, n_masks: int, masks_fps: float | None, fps: float, align: bool | None) -> None:
    """Check that masks and video have equal length; with `align`, check that only a few masks are left over.

    Args:
        align: None = the caller has no such option, so the message does not name it.

    Raises:
        MediaError: the lengths do not match.
    """
    n_frames = len(found.masks) + found.n_unmatched
    if not found.n_unmatched and not len(found.lost):
        return
    rate = f"{masks_fps:g} fps" if masks_fps else "rate unknown"
    n_filled = (
        len(found.masks)
        if found.n_unmatched or not masks_fps
        else math.floor((n_masks - 1) / masks_fps * fps + 1e-6) + 1
    )
    text = (
        f"{n_masks} mask frames ({rate}) cover {n_filled if masks_fps else n_masks} frames of a video of {n_frames} at "
        f"{fps:g} fps"
    )
    if not align:
        other = ", or set `align: true` to score the frames both have" if align is False else ""
        raise MediaError(f"{text}; give masks of the same length{other}")
    if (share := len(found.lost) / n_masks) > MAX_UNMATCHED:
        raise MediaError(
            f"{text}: {len(found.lost)} masks ({share:.0%}) are after the video's end; allowed: {MAX_UNMATCHED:.0%}"
        )


def on_grid(
    masks: MaskSequence, frames: np.ndarray, height: int, width: int, fit: GridFit = "same"
) -> MaskSequence:  # fmt: skip
    """Resize the mask frames with these indices, nearest neighbor (pixel centers).

    Args:
        fit: if aspect ratios differ: "same" = error; crop, letterbox, stretch as in `editing.ResampleOptions`.

    Raises:
        MediaError: aspect ratios differ and `fit` is "same".
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
    """Check that the masks can be resized to this size.

    Raises:
        MediaError: aspect ratios differ and `fit` is "same".
    """
    if fit == "same" and abs(math.log(masks.width * height / (masks.height * width))) > MAX_SHAPE_DIFFERENCE:
        raise MediaError(
            f"masks of {masks.width}x{masks.height} px for a video of {width}x{height}: aspect ratios differ; set "
            "`fit` (crop, letterbox or stretch) to how the generator fitted them to its frame"
        )


def _nearest_pixels(masks: MaskSequence, height: int, width: int, fit: GridFit) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the mask at the center of each new row and column; may be outside."""
    place = placement(masks.height, masks.width, height, width, "stretch" if fit == "same" else fit)
    rows = np.floor((np.arange(height) + 0.5 - place.top) / place.scale_y + 1e-9).astype(np.int64)
    columns = np.floor((np.arange(width) + 0.5 - place.left) / place.scale_x + 1e-9).astype(np.int64)
    return rows, columns
