"""The videos of a page: small H.264 files with posters. Shape letters: T frames, N objects, H, W, C."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.base.disk import new_file
from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.video import MAX_DECODED_BYTES
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.draw import COLORS, draw_outline, even_size
from mvideo_core.media.encode import write_mp4
from mvideo_core.pages.evaluation_report.page_data import Clip

TRUE, SEEN = (0, 229, 255), (255, 138, 0)
"""Outlines of the target and the predicted mask: cyan and orange, which color-blind readers can distinguish."""
MIN_OVERLAY_PX = 320
"""Overlays of smaller videos are upscaled by an integer factor to about this longer side: outlines need room."""
MAX_ENLARGED = 4


class Shown(NamedTuple):
    """Content of one column: frames, frame rate, and the masks to outline (both None = no overlay)."""

    frames_THWC: np.ndarray
    fps: float
    true: MaskSequence | None = None
    seen: MaskSequence | None = None


def write_clip(shown: Shown, folder: Path, name: str, start_s: float, max_side_px: int) -> Clip:
    """Write NAME.mp4 and NAME.jpg to `folder`, and the same with _overlay if there are masks.

    Args:
        start_s: time of the posters.
        max_side_px: maximum longer side of the videos.

    Returns:
        The clip, with paths relative to the parent of `folder`.
    """
    n_frames, height, width = shown.frames_THWC.shape[:3]
    still = min(n_frames - 1, int(start_s * shown.fps))
    clip = {"video": _write_clip(_shrink(shown.frames_THWC, max_side_px), shown.fps, folder, name, still)}
    clip["poster"] = f"{folder.name}/{name}.jpg"
    if shown.true is not None and shown.seen is not None:
        clip["overlay"] = _write_clip(_overlay(shown, max_side_px), shown.fps, folder, f"{name}_overlay", still)
        clip["poster_overlay"] = f"{folder.name}/{name}_overlay.jpg"
    return Clip(**clip, fps=shown.fps, n_frames=n_frames, width=width, height=height)


def mask_frames(masks: MaskSequence) -> np.ndarray:
    """Masks in the colors of their objects on black, uint8 (T, H, W, 3); later objects on top.

    Raises:
        MediaError: larger than a decoded video may be; masks are run-length encoded, so a small file may hold that.
    """
    size = masks.n_frames * masks.height * masks.width * 3
    if size > MAX_DECODED_BYTES:
        raise MediaError(f"masks of {masks.n_frames} frames of {masks.width}x{masks.height} px take {size >> 30} GiB")
    drawn = np.zeros((masks.n_frames, masks.height, masks.width, 3), np.uint8)
    for frame in range(masks.n_frames):
        for n in range(masks.n_objects):
            drawn[frame][masks.mask(frame, n)] = COLORS[n % len(COLORS)]
    return drawn


def _write_clip(frames: Iterator[np.ndarray], fps: float, folder: Path, name: str, still: int) -> str:
    from PIL import Image

    def keep_still() -> Iterator[np.ndarray]:
        for number, frame in enumerate(frames):
            if number == still:
                with new_file(folder / f"{name}.jpg") as part:
                    Image.fromarray(frame).save(part, format="JPEG", quality=88)
            yield frame

    write_mp4(keep_still(), folder / f"{name}.mp4", fps, crf=20)
    return f"{folder.name}/{name}.mp4"


def _shrink(frames_THWC: np.ndarray, max_side_px: int) -> Iterator[np.ndarray]:
    import cv2

    size = even_size(frames_THWC.shape[2], frames_THWC.shape[1], max_side_px)
    for frame in frames_THWC:
        yield frame if frame.shape[1::-1] == size else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def overlay_size(width: int, height: int, max_side_px: int) -> tuple[int, int]:
    """Size of the overlay of a video: small videos grow by an integer factor, large ones shrink, sides are even."""
    factor = min(MAX_ENLARGED, math.ceil(MIN_OVERLAY_PX / max(width, height)))
    return even_size(
        width * factor, height * factor, max(max_side_px, 2 * MIN_OVERLAY_PX) if factor > 1 else max_side_px
    )


def _overlay(shown: Shown, max_side_px: int) -> Iterator[np.ndarray]:
    """Frames with both outlines; without outlines where the masks end before the frames."""
    import cv2

    true, seen = shown.true, shown.seen
    assert true is not None
    assert seen is not None
    size = overlay_size(true.width, true.height, max_side_px)
    method = cv2.INTER_LINEAR if size[0] > true.width else cv2.INTER_AREA
    for number, frame in enumerate(shown.frames_THWC):
        drawn = cv2.resize(frame, size, interpolation=method)
        for masks, color in ((true, TRUE), (seen, SEEN)) if number < true.n_frames else ():
            for n in range(masks.n_objects):
                whole = masks.mask(number, n).astype(np.uint8)
                drawn = draw_outline(drawn, cv2.resize(whole, size, interpolation=cv2.INTER_NEAREST), color)
        yield drawn
