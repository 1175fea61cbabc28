"""Drops clips with black bars: letterbox, pillarbox, or both.

To remove the bars and keep the clips, set `cut.crop_bars`. It crops each clip before scaling, so masks refer to the
cropped picture. It recognizes only black bars that are about equal on opposite sides and last for the whole video.
"""

from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.filters import CLIP_FILTERS, ClipFilter, Verdict, at_most
from mvideo_core.curation.filters.samples import ClipSamples

_BLACK = 24
"""Full-range luma of the brightest pixel in a black line, save for `_STRAY` of its pixels (compression, dust)."""
_STRAY = 0.02
_UNEQUAL = 0.03
"""Opposite bars differ by at most this fraction of the picture's side; a dark ceiling or floor has no counterpart."""


class Bars(NamedTuple):
    """Black lines at each edge, fractions of the picture's height (top, bottom) or width (left, right)."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    @property
    def area(self) -> float:
        """Fraction of the picture that is bars."""
        return 1 - (1 - self.top - self.bottom) * (1 - self.left - self.right)


class BarsOptions(Options):
    """Limit of the bar filter."""

    max_area: float = Field(
        default=0.02, ge=0, le=1, description="maximum fraction of the picture covered by bars; lower drops more"
    )


@CLIP_FILTERS.register("bars")
class RemainingBars(ClipFilter):
    """Drops clips with bars; `cut.crop_bars` removes bars that a whole video has, so that nothing needs dropping."""

    Options = BarsOptions
    title: ClassVar[str] = "Fraction of the picture covered by bars"
    options: BarsOptions

    def measure(self, clip: ClipSamples) -> float:
        """Fraction of the picture in black bars, 0 to 1."""
        return find_bars(clip.small_Nhw.max(axis=0)).area

    def judge(self, value: float) -> Verdict:
        """Clips with bars are dropped."""
        return at_most(value, self.options.max_area)


def find_bars(brightest_HW: np.ndarray) -> Bars:
    """Bars of the brightest picture of a video: each pixel's maximum over many frames, uint8 luma, full range.

    A picture that is black nearly everywhere has no bars.
    """
    bright = brightest_HW > _BLACK
    if bright.mean() < _STRAY:
        return Bars()
    top, bottom = _pair(bright.mean(axis=1) > _STRAY)
    left, right = _pair(bright.mean(axis=0) > _STRAY)
    return Bars(top, bottom, left, right)


def cut_bars_off(frames_Thw: np.ndarray, brightest_hw: np.ndarray | None = None) -> np.ndarray:
    """The frames without black bars.

    Args:
        frames_Thw: uint8 luma.
        brightest_hw: maximum over all frames of the clip; None = these are all.
    """
    bars = find_bars(frames_Thw.max(axis=0) if brightest_hw is None else brightest_hw)
    height, width = frames_Thw.shape[1:]
    top, left = round(bars.top * height), round(bars.left * width)
    return frames_Thw[:, top : height - round(bars.bottom * height), left : width - round(bars.right * width)]


def _pair(lit: np.ndarray) -> tuple[float, float]:
    """Dark lines at both ends as fractions; (0, 0) unless there are about as many at each end."""
    first, last = int(lit.argmax()), int(lit[::-1].argmax())
    if not lit.any() or min(first, last) == 0 or abs(first - last) > max(1, _UNEQUAL * len(lit)):
        return 0.0, 0.0
    return first / len(lit), last / len(lit)
