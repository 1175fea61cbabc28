"""Move the camera along a path."""

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.editing.geometry import Motion, shift
from mvideo_core.editing.keyframes import EASE_HELP, Ease, PathKeys, path_values
from mvideo_core.editing.operations import warp


class PanOptions(Options):
    """Where the camera looks over time."""

    path: PathKeys = Field(
        default=[("0%", 0.0, 0.0), ("100%", 0.25, 0.0)],
        description="[[time, x, y], ...]: the camera's offset to the right and down, fractions of width and height",
    )
    ease: Ease = Field(default="ease", description=EASE_HELP)


@warp("pan", PanOptions)
def pan(motion: Motion, options: PanOptions) -> np.ndarray:
    """Pan and tilt the camera along a path: if the camera moves right, all objects move left."""
    n_frames = motion.shape[0]
    if n_frames == 1:
        x, y = np.array([options.path[0][1]]), np.array([options.path[0][2]])
    else:
        x, y = path_values(options.path, n_frames, motion.fps, options.ease)
    return shift(-x * motion.width, -y * motion.height)[:, None]
