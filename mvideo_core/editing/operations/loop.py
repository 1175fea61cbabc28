"""Repeat the clip."""

from typing import Literal

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.editing.operations import check_length, timing


class LoopOptions(Options):
    """How often or how long."""

    times: int | None = Field(default=None, ge=1, le=10_000, description="number of passes; default: 2")
    to_s: float | None = Field(default=None, gt=0, description="seconds to fill, instead of `times`")
    mode: Literal["repeat", "bounce"] = Field(
        default="repeat",
        description="repeat = from the start (a jump if end and start differ); bounce = back and forth",
    )


@timing("loop", LoopOptions)
def loop(n_frames: int, fps: float, options: LoopOptions) -> np.ndarray:
    """Repeat the clip, from the start or back and forth."""
    if options.times is not None and options.to_s is not None:
        raise ConfigError("loop: give `times` or `to_s`, not both")
    step = n_frames if options.mode == "repeat" or n_frames == 1 else n_frames - 1
    wanted = step * (options.times or 2) + n_frames - step
    if options.to_s is not None:
        wanted = max(1, round(options.to_s * fps))
    k = np.arange(check_length("loop", wanted))
    if options.mode == "repeat" or n_frames == 1:
        return k % n_frames
    place = k % (2 * n_frames - 2)
    return np.where(place < n_frames, place, 2 * n_frames - 2 - place)
