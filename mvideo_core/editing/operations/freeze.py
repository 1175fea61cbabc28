"""Hold a moment."""

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.editing.keyframes import Time, seconds
from mvideo_core.editing.operations import check_length, frames_to_hold, timing


class FreezeOptions(Options):
    """Which moment, and how long."""

    at: Time = Field(default="50%", description="seconds, or a percentage such as '25%'; the nearest frame is held")
    for_s: float = Field(default=0.5, gt=0, description="seconds to add")


@timing("freeze", FreezeOptions)
def freeze(n_frames: int, fps: float, options: FreezeOptions) -> np.ndarray:
    """Hold one frame for a while, then play on; the clip gets longer."""
    at_s = seconds(options.at, n_frames, fps)
    frame = round(at_s * fps)
    if frame >= n_frames:
        raise ConfigError(f"freeze: {at_s:g} s is beyond the clip, which lasts {n_frames / fps:g} s at {fps:g} fps")
    n_held = frames_to_hold("freeze", options.for_s, fps)
    check_length("freeze", n_frames + n_held)
    return np.concatenate([np.arange(frame), np.full(n_held, frame), np.arange(frame, n_frames)])
