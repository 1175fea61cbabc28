"""Drops clips with overlaid text or logos: titles, subtitles, watermarks.

They are found by their strokes, without a model: lines of thin strokes that stay in place count as text. So does a
street sign in front of a still camera.
"""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.filters import CLIP_FILTERS, ClipFilter, Verdict, at_most
from mvideo_core.curation.filters.samples import ClipSamples

_LONGER_PX = 480
_STROKE_PX = 7
"""Strokes are thinner than this in a picture of that size."""
_CONTRAST = 30.0
"""Strokes differ at least this much from both sides, 0 to 255."""
_LINE_PX = (6, 40)
"""Least and largest height of a line."""
_CROSSINGS = 1.2
"""Edges crossed from left to right, per height of the line: a letter is about 0.6 heights wide and has two or more."""
_UNEVEN, _UNEVEN_FRAC = 14.0, 0.15
"""Largest standard deviation of the luma within the strokes of a line: absolute, and as a fraction of their contrast.
Most bright letters have 0.02 to 0.12, grass and leaves under a still camera 0.15 to 0.4."""
_STEADY = 0.8
"""An overlay's edges keep their direction and strength: the mean gradient is at least this part of the mean size."""


class TextOptions(Options):
    """Limit of the text filter."""

    max_area: float = Field(
        default=0.004, ge=0, le=1, description="maximum fraction of the picture in lines of text; lower drops more"
    )


@CLIP_FILTERS.register("text")
class Text(ClipFilter):
    """Groups of thin, strong strokes that stay in place for the whole clip."""

    Options = TextOptions
    title: ClassVar[str] = "Fraction of the picture in overlaid text"
    high: ClassVar[float] = 0.1
    options: TextOptions

    def measure(self, clip: ClipSamples) -> float:
        """Area of the boxes around lines of text, fraction of the picture."""
        frames = np.stack([_to_scale(frame) for frame in clip.luma_NHW])
        return float(text_mask(frames).mean())

    def judge(self, value: float) -> Verdict:
        """Clips with overlaid text are dropped."""
        return at_most(value, self.options.max_area)


def _to_scale(gray: np.ndarray) -> np.ndarray:
    """The frame with a longer side of `_LONGER_PX`, so that strokes and lines have their sizes."""
    import cv2

    scale = _LONGER_PX / max(gray.shape)
    size = round(gray.shape[1] * scale), round(gray.shape[0] * scale)
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def text_mask(frames_NHW: np.ndarray) -> np.ndarray:
    """(H, W) bool: boxes around what looks like lines of overlaid text in the frames of a clip, uint8 luma."""
    import cv2

    median, steady = np.median(frames_NHW, axis=0).astype(np.uint8), _steady_edges(frames_NHW)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_STROKE_PX + 2, _STROKE_PX + 2))
    found = np.zeros(median.shape, bool)
    for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):  # bright and dark letters
        hat = cv2.morphologyEx(median, kind, kernel)
        for x, y, width, height in _lines((hat > _CONTRAST) & steady):
            if not _is_one_color(median[y : y + height, x : x + width], hat[y : y + height, x : x + width]):
                continue
            found[y : y + height, x : x + width] = True
    return found


def _lines(strokes: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
    """Boxes (x, y, width, height) of groups of strokes that look like a line of text."""
    import cv2

    joined = cv2.morphologyEx(strokes.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 11), np.uint8))
    joined = cv2.morphologyEx(joined, cv2.MORPH_OPEN, np.ones((5, 9), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        place = slice(y, y + height), slice(x, x + width)
        if _is_line(strokes[place] & (labels[place] == label), width, height, area):
            yield x, y, width, height


def _is_line(inside: np.ndarray, width: int, height: int, area: int) -> bool:
    """Wider than high, filled by strokes to a part, crossed many times from left to right."""
    if not _LINE_PX[0] <= height <= _LINE_PX[1] or width < 1.5 * height or area < 0.4 * width * height:
        return False
    crossings = np.abs(np.diff(inside.astype(np.int8), axis=1)).sum(axis=1)
    return bool(0.1 < inside.mean() < 0.8 and np.median(crossings) >= _CROSSINGS * width / height)


def _is_one_color(luma: np.ndarray, hat: np.ndarray) -> bool:
    """Whether the middle of the strokes has one luma: printed letters do, grass, branches and bricks do not."""
    core = hat >= np.percentile(hat, 85)
    return bool(luma[core].std() <= min(_UNEVEN, _UNEVEN_FRAC * float(np.median(hat[core]))))


def _steady_edges(frames_NHW: np.ndarray) -> np.ndarray:
    """(H, W) bool: near edges that are the same in all frames."""
    import cv2

    total, size = np.zeros((2, *frames_NHW.shape[1:]), np.float32), np.zeros(frames_NHW.shape[1:], np.float32)
    for frame in frames_NHW:
        gradient = np.stack([cv2.Sobel(frame, cv2.CV_32F, 1, 0), cv2.Sobel(frame, cv2.CV_32F, 0, 1)])
        total += gradient
        size += np.hypot(*gradient)
    steady = (np.hypot(*total) > _STEADY * size) & (size > 2 * _CONTRAST * len(frames_NHW))
    return np.asarray(cv2.dilate(steady.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
