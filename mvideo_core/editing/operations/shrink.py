"""A narrower outline."""

from pydantic import Field

from mvideo_core.editing.morphology import shrunk
from mvideo_core.editing.operations import ObjectOptions, rewrite
from mvideo_core.masks.io.clip import MaskClip, with_masks


class ShrinkOptions(ObjectOptions):
    """How far."""

    px: int = Field(default=4, ge=1, le=512, description="pixels of the masks' own size, from all sides")


@rewrite("shrink", ShrinkOptions)
def shrink(clip: MaskClip, options: ShrinkOptions) -> MaskClip:
    """Take a margin off each object: all pixels within `px` of its outline; the frame's edge is no outline."""
    return with_masks(clip, options.objects, lambda mask_HW: shrunk(mask_HW, options.px))
