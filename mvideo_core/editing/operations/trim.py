"""Cut out a part of the clip."""

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.editing.keyframes import Time, seconds
from mvideo_core.editing.operations import timing


class TrimOptions(Options):
    """Half-open: the frame at `end` is not included."""

    start: Time = Field(default=0.0, description="seconds, or a percentage such as '25%'")
    end: Time | None = Field(default=None, description="seconds or percentage; default: to the end")


@timing("trim", TrimOptions)
def trim(n_frames: int, fps: float, options: TrimOptions) -> np.ndarray:
    """Keep the frames from `start` up to, not including, `end`."""
    start = seconds(options.start, n_frames, fps)
    end = n_frames / fps if options.end is None else seconds(options.end, n_frames, fps)
    first, stop = (int(np.ceil(time * fps - 1e-6)) for time in (start, end))
    if not 0 <= first < min(stop, n_frames):
        raise ConfigError(
            f"trim: {start:g} s to {end:g} s has no frame; the clip lasts {n_frames / fps:g} s at {fps:g} fps"
        )
    return np.arange(first, min(stop, n_frames))
