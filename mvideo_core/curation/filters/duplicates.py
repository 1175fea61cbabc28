"""Near duplicates: the same footage in two sources, re-encoded, cropped, mirrored or with bars.

Each clip gets perceptual hashes here. Which clips look alike is decided over the whole dataset, when shards are
planned.
"""

from typing import ClassVar

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.base.records import PerceptualHashes
from mvideo_core.curation.filters import CLIP_FILTERS, ClipFilter
from mvideo_core.curation.filters.bars import find_bars
from mvideo_core.curation.filters.samples import ClipSamples

ZOOMS = (1.0, 0.9, 0.8)
"""Parts of the picture that are hashed: a copy cropped by up to a fifth matches a part of its original."""
_SAMPLES = 4
_SIDE = 32
_FREQUENCIES = 8
FLAT = 4.0
"""A frame with a smaller standard deviation of luma has no hash."""


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
class Duplicates(ClipFilter):
    """Signs of the lowest frequencies of four frames, at three zooms."""

    Options = DuplicatesOptions
    title: ClassVar[str] = "Near duplicates"
    options: DuplicatesOptions

    def measure(self, clip: ClipSamples) -> None:
        """No value: a clip alone is no duplicate."""

    def perceptual_hashes(self, clip: ClipSamples) -> PerceptualHashes | None:
        """Hashes of the clip; None if a frame is too plain to recognize."""
        chosen = clip.small_Nhw[np.linspace(1, len(clip.small_Nhw) - 2, _SAMPLES).round().astype(int)]
        inner = inner_picture(chosen, clip.small_Nhw.max(axis=0))
        if min(float(frame.std()) for frame in inner) < FLAT:
            return None
        hashes = ["".join(f"{hash_frame(frame, zoom):016x}" for frame in inner) for zoom in ZOOMS]
        return PerceptualHashes(hashes=hashes, max_bits=self.options.max_bits)


def inner_picture(frames_Thw: np.ndarray, brightest_hw: np.ndarray | None = None) -> np.ndarray:
    """The frames without black bars.

    Args:
        frames_Thw: uint8 luma.
        brightest_hw: maximum over all frames of the clip; None = these are all.
    """
    bars = find_bars(frames_Thw.max(axis=0) if brightest_hw is None else brightest_hw)
    height, width = frames_Thw.shape[1:]
    top, left = round(bars.top * height), round(bars.left * width)
    return frames_Thw[:, top : height - round(bars.bottom * height), left : width - round(bars.right * width)]


def hash_frame(gray: np.ndarray, zoom: float = 1.0) -> int:
    """64 bits: signs of the 8x8 lowest frequencies of the picture's middle part; the first bit, brightness, is 0.

    Mirroring the picture flips the bits of odd horizontal frequencies (`shards.near_duplicates.MIRRORED`).
    """
    import cv2

    height, width = gray.shape
    y, x = round((1 - zoom) / 2 * height), round((1 - zoom) / 2 * width)
    part = np.ascontiguousarray(gray[y : height - y, x : width - x])
    small = cv2.resize(part, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    signs = (cv2.dct(small)[:_FREQUENCIES, :_FREQUENCIES] > 0).ravel()
    signs[0] = False
    return int.from_bytes(np.packbits(signs).tobytes(), "big")
