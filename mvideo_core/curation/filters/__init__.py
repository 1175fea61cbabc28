"""These are the filters of the clean stage. Each measures one value per clip and compares it with a limit, except
`duplicates`, which compares clips with each other.

The report shows the distribution of the values. When you change a limit, later stages reuse their results for the clips
that are still kept.
"""

import math
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel

from mvideo_core.base.options import Options
from mvideo_core.base.records import PerceptualHashes
from mvideo_core.base.registry import Registry
from mvideo_core.curation.filters.samples import ClipSamples


class Verdict(NamedTuple):
    """What a filter says about a clip: the value, the limit it was compared with, and whether the clip stays."""

    value: float
    limit: float
    keep: bool


class ClipFilter:
    """Measures clips. Subclasses set `Options`, the chart's attributes, and implement `measure` and `judge`.

    Attributes:
        title, unit: of the value, for the report's histogram.
        low, high: range of that histogram.
    """

    Options: ClassVar[type[Options]]
    title: ClassVar[str]
    unit: ClassVar[str] = ""
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0

    options: Any  # its own class says which

    def __init__(self, options: BaseModel):
        self.options = options

    def measure(self, clip: ClipSamples) -> float | None:
        """The value of a clip; equal frames give equal values. None if only the whole dataset can decide."""
        raise NotImplementedError

    def perceptual_hashes(self, clip: ClipSamples) -> PerceptualHashes | None:
        """Hashes by which the clip is compared with others; None in filters of single clips."""
        return None

    def judge(self, value: float) -> Verdict:
        """Compare a value with the options' limit."""
        raise NotImplementedError

    def limits(self) -> list[float]:
        """The limits that `judge` uses, for the report's histogram."""
        return sorted({self.judge(value).limit for value in (-math.inf, math.inf)})


def at_least(value: float, limit: float) -> Verdict:
    """Keep values from `limit` on."""
    return Verdict(value, limit, value >= limit)


def at_most(value: float, limit: float) -> Verdict:
    """Keep values up to `limit`."""
    return Verdict(value, limit, value <= limit)


CLIP_FILTERS: Registry[type[ClipFilter]] = Registry("clip filter", "mvideo_core.curation.filters")
