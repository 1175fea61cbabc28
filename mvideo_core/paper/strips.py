"""Video frames side by side, with the outlines of the masks that guided them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mvideo_core.masks import MaskSequence
from mvideo_core.masks.draw import draw_outlines
from mvideo_core.media.decode import read_clip
from mvideo_core.media.encode import write_png

COLORS = ((230, 159, 0), (86, 180, 233), (240, 60, 60))
"""Outlines of the first, second and third object."""


def plain_and_outlined(frames_THWC: np.ndarray, masks: MaskSequence, n: int = 8, width: int = 192) -> np.ndarray:
    """`n` evenly spaced frames, `width` px each: plain in the top row, with outlines in the bottom row. RGB uint8."""
    plain, drawn = _tiles(frames_THWC, masks, n, width)
    return np.concatenate([np.concatenate(plain, axis=1), np.concatenate(drawn, axis=1)], axis=0)


def write_sheet(videos: Sequence[Path], masks: MaskSequence, path: Path, n: int = 6, width: int = 128) -> Path:
    """One row per video: each frame plain, then with outlines; a missing video is gray."""
    lines = []
    for video in videos:
        if not video.is_file():
            height = round(width * masks.height / masks.width)
            lines.append(np.full((height, 2 * n * width, 3), 128, np.uint8))
            continue
        pairs = zip(*_tiles(read_clip(video), masks, n, width), strict=True)
        lines.append(np.concatenate([tile for pair in pairs for tile in pair], axis=1))
    write_png(path, np.concatenate(lines, axis=0))
    return path


def _tiles(
    frames_THWC: np.ndarray, masks: MaskSequence, n: int, width: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    import cv2

    height = round(width * frames_THWC.shape[1] / frames_THWC.shape[2])
    plain, drawn = [], []
    for t in np.linspace(0, min(len(frames_THWC), masks.n_frames) - 1, n).round().astype(int).tolist():
        picture = cv2.resize(frames_THWC[t], (width, height), interpolation=cv2.INTER_CUBIC)
        plain.append(picture)
        large = (
            cv2.resize(masks.mask(t, index).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
            for index in range(masks.n_objects)
        )
        drawn.append(draw_outlines(picture, large, COLORS, 1))
    return plain, drawn
