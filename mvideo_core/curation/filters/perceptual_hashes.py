"""Drops clips that look like a clip of *another* source, even if re-encoded, cropped by up to 10% per side, mirrored,
or given bars.

Of several such clips, the one whose key sorts first is kept. The shard stage drops the others, with the reason
`near_duplicate`.
"""

from typing import ClassVar

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.base.records import PerceptualHashes
from mvideo_core.curation.filters import CLIP_FILTERS, ClipFilter
from mvideo_core.curation.filters.bars import cut_bars_off
from mvideo_core.curation.filters.samples import ClipSamples
from mvideo_core.shards.near_duplicates import N_FRAMES, hash_clip


class DuplicatesOptions(Options):
    """Limit of the search for near duplicates."""

    max_bits: float = Field(
        default=12.0,
        ge=0,
        le=32,
        description="clips of two sources whose hashes of 64 bits differ by at most this many bits on average are "
        "near duplicates; the first by key is kept; higher drops more",
    )


@CLIP_FILTERS.register("duplicates")
class PerceptualHasher(ClipFilter):
    """Hashes four frames of each clip."""

    Options = DuplicatesOptions
    title: ClassVar[str] = "Near duplicates"
    options: DuplicatesOptions

    def measure(self, clip: ClipSamples) -> None:
        """No value: one clip alone cannot be a duplicate."""

    def perceptual_hashes(self, clip: ClipSamples) -> PerceptualHashes | None:
        """Hashes of the clip; None if a frame is too plain to recognize."""
        chosen = clip.small_Nhw[np.linspace(1, len(clip.small_Nhw) - 2, N_FRAMES).round().astype(int)]
        hashes = hash_clip(cut_bars_off(chosen, clip.small_Nhw.max(axis=0)))
        return PerceptualHashes(hashes=hashes, max_bits=self.options.max_bits) if hashes else None
