"""Objects enlarged or shrunk where they are."""

from typing import Literal

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.editing.geometry import Motion, about, scaling
from mvideo_core.editing.keyframes import EASE_HELP, Ease, Keyed, values
from mvideo_core.editing.operations import ObjectOptions, warp


class ScaleOptions(ObjectOptions):
    """How large, and which point stays."""

    factor: Keyed = Field(default=1.5, description="times as large, above 0; number or [[time, value], ...]")
    anchor: Literal["centre", "feet", "frame"] = Field(
        default="centre",
        description="point that stays: the object's center, its feet, or the frame's middle",
    )
    ease: Ease = Field(default="linear", description=EASE_HELP)


@warp("scale", ScaleOptions)
def scale(motion: Motion, options: ScaleOptions) -> np.ndarray:
    """Enlarge or shrink each object about a point of its own."""
    factor = values(options.factor, motion.shape[0], motion.fps, options.ease)
    if factor.size and factor.min() <= 0:
        raise ConfigError(f"scale: factor {factor.min():g} seen; above 0 wanted")
    return about(scaling(factor)[:, None], motion.anchors(options.anchor))
