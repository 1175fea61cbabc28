"""Rotate objects in the image plane."""

import numpy as np
from pydantic import Field

from mvideo_core.editing.geometry import Anchor, Motion, about, rotation
from mvideo_core.editing.keyframes import EASE_HELP, Ease, Keyed, values
from mvideo_core.editing.operations import ObjectOptions, warp


class RotateOptions(ObjectOptions):
    """How far, and about which point."""

    angle_deg: Keyed = Field(default=15.0, description="degrees, counter-clockwise; number or [[time, value], ...]")
    anchor: Anchor = Field(default="center", description="fixed point, see scale")
    ease: Ease = Field(default="linear", description=EASE_HELP)


@warp("rotate", RotateOptions)
def rotate(motion: Motion, options: RotateOptions) -> np.ndarray:
    """Rotate each object about its center, its feet or the frame's middle."""
    angles = values(options.angle_deg, motion.shape[0], motion.fps, options.ease)
    return about(rotation(angles)[:, None], motion.anchors(options.anchor))
