"""Move objects in the frame: the motion of each frame, which `editing/warp.py` applies to the masks."""

import numpy as np
from pydantic import Field

from mvideo_core.editing.geometry import Motion, shift
from mvideo_core.editing.keyframes import EASE_HELP, Ease, Keyed, values
from mvideo_core.editing.operations import ObjectOptions, warp


class TranslateOptions(ObjectOptions):
    """How far, over time."""

    x_frac: Keyed = Field(default=0.0, description="right, fraction of the width; number or [[time, value], ...]")
    y_frac: Keyed = Field(default=0.0, description="down, fraction of the height; number or keyframes")
    ease: Ease = Field(default="linear", description=EASE_HELP)


@warp("translate", TranslateOptions)
def translate(motion: Motion, options: TranslateOptions) -> np.ndarray:
    """Move objects in the frame, by a fixed amount or along keyframes."""
    n_frames = motion.shape[0]
    dx = values(options.x_frac, n_frames, motion.fps, options.ease) * motion.width
    dy = values(options.y_frac, n_frames, motion.fps, options.ease) * motion.height
    return shift(dx, dy)[:, None]
