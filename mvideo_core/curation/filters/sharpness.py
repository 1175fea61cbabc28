"""Drops blurred clips: out of focus, with motion blur over the whole picture, or enlarged from a smaller video.

The value is the blur metric of Crete et al. 2007.
"""

from typing import ClassVar

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.filters import CLIP_FILTERS, ClipFilter, Verdict, at_most
from mvideo_core.curation.filters.samples import ClipSamples

_TAPS = 9


class SharpnessOptions(Options):
    """Limit of the sharpness filter."""

    max_blur: float = Field(default=0.5, ge=0, le=1, description="maximum blur, 0 (sharp) to 1; lower drops more")


@CLIP_FILTERS.register("sharpness")
class Sharpness(ClipFilter):
    """Blur again and compare: what was blurred before changes little (Crete et al. 2007, "The blur effect")."""

    Options = SharpnessOptions
    title: ClassVar[str] = "Blur"
    options: SharpnessOptions

    def measure(self, clip: ClipSamples) -> float:
        """Median blur of the samples, 0 to 1; a picture without any edge is 1."""
        return float(np.median([_blur(frame) for frame in clip.luma_NHW]))

    def judge(self, value: float) -> Verdict:
        """Blurred clips are dropped."""
        return at_most(value, self.options.max_blur)


def _blur(luma_HW: np.ndarray) -> float:
    import cv2

    sharp = luma_HW.astype(np.float32)
    found = []
    for axis, taps in ((0, (1, _TAPS)), (1, (_TAPS, 1))):
        soft = cv2.blur(sharp, taps)
        before, after = np.abs(np.diff(sharp, axis=axis)), np.abs(np.diff(soft, axis=axis))
        total = float(before.sum())
        lost = float(np.maximum(before - after, 0).sum())
        found.append(1 - lost / total if total else 1.0)
    return max(found)
