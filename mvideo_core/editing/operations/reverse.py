"""Backwards in time."""

import numpy as np

from mvideo_core.base.options import Options
from mvideo_core.editing.operations import timing


class ReverseOptions(Options):
    """No options."""


@timing("reverse", ReverseOptions)
def reverse(n_frames: int, fps: float, options: ReverseOptions) -> np.ndarray:
    """Play backwards."""
    return np.arange(n_frames)[::-1]
