"""Objects taken out of the picture, with their numbers kept."""

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.editing.operations import rewrite
from mvideo_core.masks.io.clip import MaskClip, with_masks


class HideOptions(Options):
    """Which objects."""

    objects: list[int] = Field(min_length=1, description="object numbers, from 0")


@rewrite("hide", HideOptions)
def hide(clip: MaskClip, options: HideOptions) -> MaskClip:
    """Empty the masks of some objects; the others keep their numbers (`keep` renumbers them)."""
    return with_masks(clip, options.objects, np.zeros_like)
