"""Slower or faster."""

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.editing.operations import check_length, timing


class StretchOptions(Options):
    """Either a speed or a length."""

    speed: float | None = Field(default=None, gt=0, le=100, description="speed factor; 0.5 = twice the frames")
    to_s: float | None = Field(default=None, gt=0, description="length of the result in seconds, instead of `speed`")


@timing("stretch", StretchOptions)
def stretch(n_frames: int, fps: float, options: StretchOptions) -> np.ndarray:
    """Slow down or speed up by repeating or dropping frames (nearest in time); the frame rate stays."""
    if (options.speed is None) == (options.to_s is None):
        raise ConfigError("stretch: give either `speed` or `to_s`")
    if options.to_s is not None:
        n_out = max(1, round(options.to_s * fps))
        speed = (n_frames - 1) / (n_out - 1) if n_out > 1 else 1.0
    else:
        assert options.speed is not None
        speed = options.speed
        n_out = int(np.floor((n_frames - 1) / speed + 1e-9)) + 1
    return np.minimum(np.floor(np.arange(check_length("stretch", n_out)) * speed + 0.5 + 1e-9), n_frames - 1).astype(
        np.int64
    )
