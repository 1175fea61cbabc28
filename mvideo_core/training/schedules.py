"""Learning rate as a function of the step: warm-up, then constant or cosine. No state, so nothing to save."""

import math
from typing import Literal

from pydantic import Field

from mvideo_core.base.options import Options


class RateOptions(Options):
    """Learning rate over the optimizer steps."""

    peak: float = Field(
        default=2e-4, gt=0, le=1e38, description="learning rate after warm-up; the paper's value is 2e-4"
    )
    warmup_steps: int = Field(default=100, ge=0, description="steps of linear rise to the peak")
    shape: Literal["constant", "cosine"] = Field(default="constant", description="shape after warm-up")
    floor_frac: float = Field(default=0.0, ge=0, le=1, description="cosine: fraction of the peak at the last step")


def rate_at(options: RateOptions, step: int, steps: int) -> float:
    """Learning rate of a step counted from 0.

    Args:
        steps: of the whole run; only the cosine uses it.
    """
    if step < options.warmup_steps:
        return options.peak * (step + 1) / (options.warmup_steps + 1)
    if options.shape == "constant":
        return options.peak
    done = (step - options.warmup_steps) / max(steps - options.warmup_steps, 1)
    wave = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return options.peak * (options.floor_frac + (1 - options.floor_frac) * wave)
