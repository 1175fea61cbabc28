"""Masks at the model's size and frame rate; n clips take n * (clip frames - 1) + 1 frames (paper, section 3.3).

Each frame shows the source frame nearest in time; a pixel is set if at least half of its area is covered.
"""

import logging
import math
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.editing.presence import check_change, find_visible
from mvideo_core.editing.warp import pixels_of
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.clip import MaskClip, RunWriter, edges_of
from mvideo_core.masks.measure import box_xyxy

log = logging.getLogger(__name__)

Fit = Literal["crop", "letterbox", "stretch"]
TAILS = {"hold": "the last frame stays", "hide": "no masks from there", "bounce": "back and forth from there"}
MAX_CLIPS = 10_000
HIDDEN = -1
"""Frame number for a frame without masks."""


class ResampleOptions(Options):
    """How a clip of any size and length is resampled."""

    fit: Fit = Field(
        default="crop",
        description="aspect ratios differ: crop = fill the frame, letterbox = empty bars, stretch = distort",
    )
    n_clips: int = Field(default=0, ge=0, le=MAX_CLIPS, description="number of clips; 0 = as many as the masks fill")
    max_hold_s: float = Field(
        default=0.5,
        ge=0,
        description="with n_clips 0: a last clip that is short by at most this many seconds still counts",
    )
    tail: Literal["hold", "hide", "bounce"] = Field(
        default="hold",
        description="after the end: hold = repeat the last frame, hide = no masks, bounce = back and forth",
    )


class Placement(NamedTuple):
    """Axis-parallel map of one picture into another: x' = x * scale_x + left, y' = y * scale_y + top."""

    scale_x: float
    scale_y: float
    left: float
    top: float


def resample(clip: MaskClip, video_format: VideoFormat, options: ResampleOptions | None = None) -> MaskClip:
    """The clip at the format's size and rate, with n_clips * stride + 1 frames.

    Frame k shows the source frame nearest in time to k / fps; a pixel is set if at least half of its area is covered.
    Warns about objects that the new size loses.

    Raises:
        ConfigError: no object is left in any frame, or the masks last for more than MAX_CLIPS clips.
    """
    options = options or ResampleOptions()
    n_clips = options.n_clips or whole_clips(clip, video_format, options.max_hold_s)
    if n_clips > MAX_CLIPS:
        raise ConfigError(
            f"masks of {clip.sequence.n_frames} frames at {clip.fps:g} frames per second last {clip.duration_s:g} s, "
            f"which fill {n_clips} clips; at most {MAX_CLIPS}: correct their frame rate (fps)"
        )
    return resample_frames(clip, video_format, video_format.n_frames(n_clips), options)


def resample_frames(clip: MaskClip, video_format: VideoFormat, n_frames: int, options: ResampleOptions) -> MaskClip:
    """As `resample`, with any number of frames.

    Raises:
        ConfigError: no object is left in any frame.
    """
    index = nearest_frames(np.arange(n_frames) / video_format.fps, clip.fps)
    lacking_s = (n_frames - 1) / video_format.fps - (clip.sequence.n_frames - 1) / clip.fps
    if lacking_s > options.max_hold_s + 1e-6:
        log.warning(
            "the masks end %.2f s before the last clip does (%s): loop or stretch them to %.2f s to fill it",
            lacking_s, TAILS[options.tail], n_frames / video_format.fps,
        )  # fmt: skip
    index = past_end(index, clip.sequence.n_frames, options.tail)
    sequence = resize(clip.sequence, video_format.height_px, video_format.width_px, options.fit, index)
    seen_TN = find_visible(clip.sequence)
    before_N = seen_TN[index[index != HIDDEN]].sum(axis=0)
    check_change(before_N, seen_TN.sum(axis=0), sequence, clip.labels, "after resampling")
    return MaskClip(sequence, video_format.fps, clip.labels)


def whole_clips(clip: MaskClip, video_format: VideoFormat, max_hold_s: float = 0.0) -> int:
    """Number of clips of the format that the masks fill, at least one; the last clip may lack `max_hold_s` seconds."""
    new_frames = math.floor((clip.sequence.n_frames - 1) / clip.fps * video_format.fps + 1e-6)
    held = math.floor(max_hold_s * video_format.fps + 1e-6)
    return max(1, (new_frames + held) // video_format.stride_frames)


def frames_for(clip: MaskClip, fps: float, n_frames: int, max_hold_s: float = 0.0) -> int:
    """Frames at `fps` that the masks give a video of `n_frames`: all of them, or fewer if they end earlier.

    Args:
        max_hold_s: masks that are short by at most this still fill the video, seconds.
    """
    filled = math.floor((clip.sequence.n_frames - 1) / clip.fps * fps + 1e-6) + 1
    held = math.floor(max_hold_s * fps + 1e-6)
    return n_frames if filled + held >= n_frames else filled


def nearest_frames(times_s: np.ndarray, fps: float) -> np.ndarray:
    """Number of the frame nearest to each time, the later frame if two are equally near; may be outside the clip."""
    return np.floor(np.asarray(times_s) * fps + 0.5 + 1e-9).astype(np.int64)


def past_end(index: np.ndarray, n_frames: int, tail: str) -> np.ndarray:
    """Frame numbers mapped into a clip of `n_frames`; `HIDDEN` before its start, and after its end with "hide"."""
    after = index >= n_frames
    if tail == "hide":
        inside = np.where(after, HIDDEN, index)
    elif tail == "loop":
        inside = index % n_frames
    elif tail == "bounce" and n_frames > 1:
        turn = index % (2 * n_frames - 2)
        inside = np.where(turn < n_frames, turn, 2 * n_frames - 2 - turn)
    else:
        inside = np.minimum(index, n_frames - 1)
    return np.where(index < 0, HIDDEN, inside)


def resize(
    sequence: MaskSequence, height: int, width: int, fit: Fit = "crop", frames: np.ndarray | None = None
) -> MaskSequence:
    """The frames with these numbers (all if None; `HIDDEN` = no masks) at another size."""
    index = np.arange(sequence.n_frames) if frames is None else frames
    place = placement(sequence.height, sequence.width, height, width, fit)
    writer = RunWriter(len(index), sequence.n_objects, height, width)
    for frame in index.tolist():
        for obj in range(sequence.n_objects):
            edges = np.zeros(0, np.int32) if frame == HIDDEN else sequence.mask_edges(frame, obj)
            writer.append(place_edges(edges, (sequence.height, sequence.width), (height, width), place))
    return writer.finish()


def placement(height: int, width: int, new_height: int, new_width: int, fit: Fit) -> Placement:
    """Where a picture is in a new frame: centered, by the rule of `ResampleOptions.fit`."""
    scale_x, scale_y = new_width / width, new_height / height
    if fit == "crop":
        scale_x = scale_y = max(scale_x, scale_y)
    elif fit == "letterbox":
        scale_x = scale_y = min(scale_x, scale_y)
    return Placement(scale_x, scale_y, (new_width - width * scale_x) / 2, (new_height - height * scale_y) / 2)


def place_edges(edges: np.ndarray, size: tuple[int, int], new_size: tuple[int, int], place: Placement) -> np.ndarray:
    """Runs of one mask in the new frame, by exact coverage: at least half of a pixel's area.

    Args:
        size, new_size: (H, W) of the frame before and after.
    """
    if len(edges) == 0 or (size == new_size and place == Placement(1.0, 1.0, 0.0, 0.0)):
        return edges
    x0, y0, x1, y1 = box_xyxy(edges, size[1])
    columns = _bounds(x0, x1, place.scale_x, place.left, new_size[1])
    rows = _bounds(y0, y1, place.scale_y, place.top, new_size[0])
    if len(columns) < 2 or len(rows) < 2:
        return np.zeros(0, np.int32)
    part = pixels_of(edges, *size)[y0:y1, x0:x1]
    covered = _sums(part.astype(np.float64), (columns - place.left) / place.scale_x - x0)
    covered = _sums(covered.T, (rows - place.top) / place.scale_y - y0).T
    mask = covered * (place.scale_x * place.scale_y) >= 0.5 - 1e-9
    return edges_of(mask, int(rows[0]), int(columns[0]), new_size[1])


def _bounds(low: int, high: int, scale: float, offset: float, size: int) -> np.ndarray:
    """Edges of the new pixels that [low, high) touches, inside the frame."""
    first = max(math.floor(low * scale + offset), 0)
    last = min(math.ceil(high * scale + offset), size)
    return np.arange(first, last + 1)


def _sums(values: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Integrals along the last axis between arbitrary borders within or outside it."""
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    at = np.clip(borders, 0, values.shape[1])
    left = np.minimum(at.astype(np.int64), values.shape[1] - 1)
    share = at - left
    return np.diff(total[:, left] * (1 - share) + total[:, left + 1] * share, axis=1)
