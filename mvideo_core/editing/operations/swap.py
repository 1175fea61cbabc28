"""Two objects in each other's place."""

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.editing.geometry import Motion, shift
from mvideo_core.editing.operations import warp
from mvideo_core.masks.io.clip import check_objects


class SwapOptions(Options):
    """Which two objects."""

    objects: tuple[int, int] = Field(default=(0, 1), description="object numbers, from 0")


@warp("swap", SwapOptions)
def swap(motion: Motion, options: SwapOptions) -> np.ndarray:
    """Exchange the paths of two objects: each keeps its own outline and goes where the other went."""
    n_frames, n_objects = motion.shape
    one, other = check_objects(options.objects, n_objects)
    if one == other:
        raise ConfigError(f"swap: object {one} given twice; two different objects wanted")
    offset_T2 = motion.centers_TN2[:, other] - motion.centers_TN2[:, one]
    moves = np.zeros((n_frames, n_objects, 2))
    moves[:, one], moves[:, other] = offset_T2, -offset_T2
    return shift(moves[..., 0], moves[..., 1])
