"""Smooth the outline."""

from pydantic import Field

from mvideo_core.editing.morphology import dilate, erode
from mvideo_core.editing.operations import ObjectOptions, rewrite
from mvideo_core.masks.io.clip import Mask, MaskClip, with_masks


class SmoothOptions(ObjectOptions):
    """How much."""

    px: int = Field(default=3, ge=1, le=256, description="removes notches, spikes and specks up to twice this width")


@rewrite("smooth", SmoothOptions)
def smooth(clip: MaskClip, options: SmoothOptions) -> MaskClip:
    """Close notches and holes, then cut off spikes and specks: a closing and an opening by a disc."""

    def change(mask_HW: Mask) -> Mask:
        closed = erode(dilate(mask_HW, options.px), options.px)
        return dilate(erode(closed, options.px), options.px)

    return with_masks(clip, options.objects, change)
