"""Camera zoom (paper, figure 7)."""

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.editing.geometry import Motion, about, scaling
from mvideo_core.editing.keyframes import EASE_HELP, Ease, Keys, values
from mvideo_core.editing.operations import warp


class ZoomOptions(Options):
    """From which factor to which, and about which point of the frame."""

    start: float = Field(default=1.0, gt=0, le=20, description="zoom factor at the first frame; 1 = unchanged")
    to: float = Field(default=1.5, gt=0, le=20, description="at the last frame; above `start` zooms in, below it out")
    keys: Keys | None = Field(default=None, description="[[time, factor], ...] instead of `start` and `to`")
    center: tuple[float, float] = Field(default=(0.5, 0.5), description="fixed point, fractions of the frame")
    ease: Ease = Field(default="ease", description=EASE_HELP)


@warp("zoom", ZoomOptions)
def zoom(motion: Motion, options: ZoomOptions) -> np.ndarray:
    """Zoom the camera in or out: all objects grow or shrink about one point of the frame."""
    keys: Keys = options.keys or [("0%", options.start), ("100%", options.to)]
    n_frames = motion.shape[0]
    factor = values(keys, n_frames, motion.fps, options.ease) if n_frames > 1 else np.full(n_frames, keys[-1][1])
    if factor.size and factor.min() <= 0:
        raise ConfigError(f"zoom: factor {factor.min():g}; must be above 0")
    point = np.array(options.center) * (motion.width, motion.height)
    return about(scaling(factor), np.broadcast_to(point, (n_frames, 2)))[:, None]
