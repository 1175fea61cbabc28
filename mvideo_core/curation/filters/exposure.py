"""Drops clips that are too dark or too bright."""

from typing import ClassVar

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.filters import CLIP_FILTERS, ClipFilter, Verdict, at_least, at_most
from mvideo_core.curation.filters.samples import ClipSamples


class ExposureOptions(Options):
    """Limits of the exposure filter."""

    min_mean: float = Field(default=50, ge=0, le=255, description="minimum mean luma, 0 to 255; higher drops more")
    max_mean: float = Field(default=210, ge=0, le=255, description="maximum mean luma, 0 to 255; lower drops more")


@CLIP_FILTERS.register("exposure")
class Exposure(ClipFilter):
    """Mean luma of the whole clip."""

    Options = ExposureOptions
    title: ClassVar[str] = "Mean luma"
    high: ClassVar[float] = 255.0
    options: ExposureOptions

    def measure(self, clip: ClipSamples) -> float:
        """Mean luma over the samples, 0 to 255."""
        return float(clip.small_Nhw.mean())

    def judge(self, value: float) -> Verdict:
        """Dark and washed-out clips are dropped."""
        low = at_least(value, self.options.min_mean)
        return low if not low.keep else at_most(value, self.options.max_mean)
