"""Mirror the picture."""

from typing import Literal

import numpy as np
from pydantic import Field

from mvideo_core.editing.geometry import Motion
from mvideo_core.editing.operations import ObjectOptions, warp


class MirrorOptions(ObjectOptions):
    """Which sides are swapped."""

    sides: Literal["left-right", "top-bottom"] = Field(default="left-right", description="sides to swap")


@warp("mirror", MirrorOptions)
def mirror(motion: Motion, options: MirrorOptions) -> np.ndarray:
    """Mirror the frame; what moved right moves left."""
    if options.sides == "left-right":
        return np.array([[-1.0, 0.0, motion.width], [0.0, 1.0, 0.0]])
    return np.array([[1.0, 0.0, 0.0], [0.0, -1.0, motion.height]])
