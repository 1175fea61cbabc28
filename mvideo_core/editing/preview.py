"""Previews of masks: an overlay video over the reference or over black, and a contact sheet."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.editing.reference import open_reference
from mvideo_core.editing.resample import Fit
from mvideo_core.masks.draw import overlay_frames, tile
from mvideo_core.masks.io.clip import MaskClip, take_frames
from mvideo_core.media.encode import write_mp4, write_png

GAP_PX = 4
"""White gap between the pictures of a sheet."""
TITLE_PX = 20
"""Height of the strip with a row's name."""


class PreviewOptions(Options):
    """Size and layout of previews."""

    max_side_px: int = Field(default=720, ge=16, le=4096, description="px; maximum longer side of the video")
    fit: Fit = Field(default="crop", description="how to fit a video with a different aspect ratio to the masks' frame")
    sheet_frames: int = Field(default=8, ge=1, le=64, description="pictures on the sheet, evenly spaced over the clip")
    sheet_columns: int = Field(default=4, ge=1, le=16, description="pictures per row")
    cell_px: int = Field(default=240, ge=16, le=1024, description="px; maximum longer side of a picture on the sheet")


def write_preview(
    clip: MaskClip, path: str | Path, video: str | Path | None = None, options: PreviewOptions | None = None,
    start_s: float = 0.0,
) -> int:  # fmt: skip
    """Write an overlay MP4 with tint, outline and name per object; returns the number of frames.

    Args:
        video: drawn underneath, frame nearest in time; black if None. If it is shorter, its last frame stays.
        start_s: second of the video at which the masks start.

    Raises:
        MediaError: the video cannot be read. ConfigError: no frame in the clip.
    """
    options = options or PreviewOptions()
    _check(clip)
    with _pictures(clip, video, options, start_s) as frames:
        drawn = overlay_frames(frames, clip.sequence, _names(clip), options.max_side_px)
        return write_mp4(drawn, path, clip.fps, crf=23)


def write_contact_sheet(
    clip: MaskClip, path: str | Path, video: str | Path | None = None, options: PreviewOptions | None = None
) -> None:
    """Write a PNG with frames spread evenly over the clip, their times in the corner.

    Raises:
        MediaError: the video cannot be read. ConfigError: no frame in the clip.
    """
    write_png(path, contact_sheet(clip, video, options or PreviewOptions()))


def contact_sheet(clip: MaskClip, video: str | Path | None, options: PreviewOptions) -> np.ndarray:
    """The sheet as (H, W, 3) uint8 RGB."""
    _check(clip)
    n_shown = min(options.sheet_frames, clip.sequence.n_frames)
    wanted = np.round(np.linspace(0, clip.sequence.n_frames - 1, n_shown)).astype(int).tolist()
    with _pictures(clip, video, options) as frames:
        chosen = (frame for number, frame in enumerate(frames) if number in wanted)
        few = take_frames(clip.sequence, wanted)
        cells = list(overlay_frames(chosen, few, _names(clip), options.cell_px))
    for cell, number in zip(cells, wanted, strict=True):
        _stamp(cell, f"{number / clip.fps:.2f} s")
    return tile(cells, min(options.sheet_columns, n_shown), GAP_PX)


def overview(clips: Mapping[str, MaskClip], options: PreviewOptions) -> np.ndarray:
    """One row of pictures per clip, its name above: (H, W, 3) uint8 RGB."""
    one_row = options.model_copy(update={"sheet_frames": options.sheet_columns})
    rows = [contact_sheet(clip, None, one_row) for clip in clips.values()]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    titles = [_title(name, width) for name in clips]
    return np.concatenate([part for both in zip(titles, padded, strict=True) for part in both])


@contextmanager
def _pictures(
    clip: MaskClip, video: str | Path | None, options: PreviewOptions, start_s: float = 0.0
) -> Iterator[Iterator[np.ndarray]]:
    """As many frames of the masks' size as the clip has."""
    n_frames, _, height, width = clip.sequence.shape
    if video is None:
        yield (np.zeros((height, width, 3), np.uint8) for _ in range(n_frames))
        return
    with open_reference(video, clip.fps, size_hw=(height, width), fit=options.fit, start_s=start_s) as reference:
        yield _exactly(reference.frames, n_frames)


def _exactly(frames: Iterable[np.ndarray], n_frames: int) -> Iterator[np.ndarray]:
    count, last = 0, None
    for frame in frames:
        if count == n_frames:
            return
        count, last = count + 1, frame
        yield frame
    assert last is not None  # a reference without frames raises
    for _ in range(n_frames - count):
        yield last


def _names(clip: MaskClip) -> list[str]:
    return [label or f"object {number}" for number, label in enumerate(clip.labels)]


def _check(clip: MaskClip) -> None:
    if clip.sequence.n_frames == 0:
        raise ConfigError("preview: the sequence has no frames")


def _title(text: str, width_px: int) -> np.ndarray:
    """A white strip with a name, black."""
    import cv2

    strip = np.full((TITLE_PX, width_px, 3), 255, np.uint8)
    cv2.putText(strip, text, (5, TITLE_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


def _stamp(cell: np.ndarray, text: str) -> None:
    import cv2

    for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        place = (5, cell.shape[0] - 6)
        cv2.putText(cell, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, thickness, cv2.LINE_AA)
