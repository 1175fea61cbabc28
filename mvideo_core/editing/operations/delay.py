"""A later start."""

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.editing.operations import check_length, frames_to_hold, timing


class DelayOptions(Options):
    """How long."""

    by_s: float = Field(default=0.5, gt=0, description="seconds during which the first frame is held")


@timing("delay", DelayOptions)
def delay(n_frames: int, fps: float, options: DelayOptions) -> np.ndarray:
    """Hold the first frame, then play; the clip gets longer (`trim` cuts it)."""
    n_held = frames_to_hold("delay", options.by_s, fps)
    return np.maximum(np.arange(check_length("delay", n_frames + n_held)) - n_held, 0)
