"""Drops clips with frozen pictures: slides, freeze frames, and photographs shown as video."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.filters import CLIP_FILTERS, ClipFilter, Verdict, at_most
from mvideo_core.curation.filters.samples import ClipSamples

_BLOCK_PX = 8


class FrozenOptions(Options):
    """Limits of the frozen-picture filter."""

    max_frac: float = Field(
        default=0.3, ge=0, le=1, description="maximum fraction of samples equal to the next frame; lower drops more"
    )
    min_change: float = Field(
        default=2.5,
        ge=0,
        description="two frames are equal if no block of 8x8 small pixels changes more on average, 0 to 255",
    )


@CLIP_FILTERS.register("frozen")
class Frozen(ClipFilter):
    """Compares each sample with the next frame, block by block, so that a small thing that moves counts."""

    Options = FrozenOptions
    title: ClassVar[str] = "Fraction of frozen frames"
    options: FrozenOptions

    def measure(self, clip: ClipSamples) -> float:
        """Fraction of samples that equal the frame after them."""
        pairs = zip(clip.small_Nhw, clip.next_Nhw, strict=True)
        return float(np.mean([_largest_change(*pair) <= self.options.min_change for pair in pairs]))

    def judge(self, value: float) -> Verdict:
        """Clips that are frozen for too long are dropped."""
        return at_most(value, self.options.max_frac)


def _largest_change(before: np.ndarray, after: np.ndarray) -> float:
    """Mean change of the block that changes most."""
    import cv2

    change = cv2.absdiff(before, after).astype(np.float32)
    height, width = (side // _BLOCK_PX * _BLOCK_PX for side in change.shape)
    blocks = change[:height, :width].reshape(height // _BLOCK_PX, _BLOCK_PX, width // _BLOCK_PX, _BLOCK_PX)
    return float(blocks.mean((1, 3)).max())
