"""A narrower outline."""

from pydantic import Field

from mvideo_core.editing.morphology import erode
from mvideo_core.editing.operations import ObjectOptions, rewrite
from mvideo_core.masks.io.clip import MaskClip, with_masks


class ShrinkOptions(ObjectOptions):
    """How far."""

    px: int = Field(default=4, ge=1, le=512, description="pixels at the masks' own size, on all sides")


@rewrite("shrink", ShrinkOptions)
def shrink(clip: MaskClip, options: ShrinkOptions) -> MaskClip:
    """Remove a margin from each object: all pixels within `px` of its outline; the frame's edge is not an outline."""
    return with_masks(clip, options.objects, lambda mask_HW: erode(mask_HW, options.px))
