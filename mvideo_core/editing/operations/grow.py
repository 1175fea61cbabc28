"""A wider outline."""

from pydantic import Field

from mvideo_core.editing.morphology import dilate
from mvideo_core.editing.operations import ObjectOptions, rewrite
from mvideo_core.masks.io.clip import MaskClip, with_masks


class GrowOptions(ObjectOptions):
    """How far."""

    px: int = Field(default=4, ge=1, le=512, description="pixels at the masks' own size, on all sides")


@rewrite("grow", GrowOptions)
def grow(clip: MaskClip, options: GrowOptions) -> MaskClip:
    """Widen each object by a margin: all pixels within `px` of it."""
    return with_masks(clip, options.objects, lambda mask_HW: dilate(mask_HW, options.px))
