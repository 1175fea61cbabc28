"""Scale objects in place."""

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.editing.geometry import Anchor, Motion, about, scaling
from mvideo_core.editing.keyframes import EASE_HELP, Ease, Keyed, values
from mvideo_core.editing.operations import ObjectOptions, warp


class ScaleOptions(ObjectOptions):
    """How large, and about which point."""

    factor: Keyed = Field(default=1.5, description="size factor, above 0; number or [[time, value], ...]")
    anchor: Anchor = Field(
        default="center",
        description="fixed point: the object's center, its feet, or the frame's middle",
    )
    ease: Ease = Field(default="linear", description=EASE_HELP)


@warp("scale", ScaleOptions)
def scale(motion: Motion, options: ScaleOptions) -> np.ndarray:
    """Enlarge or shrink each object about its own fixed point."""
    factor = values(options.factor, motion.shape[0], motion.fps, options.ease)
    if factor.size and factor.min() <= 0:
        raise ConfigError(f"scale: factor {factor.min():g}; must be above 0")
    return about(scaling(factor)[:, None], motion.anchors(options.anchor))
