"""Swap object and background."""

from mvideo_core.editing.operations import ObjectOptions, rewrite
from mvideo_core.masks.io.clip import MaskClip, with_masks


@rewrite("invert", ObjectOptions)
def invert(clip: MaskClip, options: ObjectOptions) -> MaskClip:
    """Swap each object and its surroundings; where an object is hidden, its inverse is the whole frame."""
    return with_masks(clip, options.objects, lambda mask_HW: ~mask_HW)
