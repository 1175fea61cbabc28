"""Objects without holes."""

from scipy.ndimage import binary_fill_holes

from mvideo_core.editing.operations import ObjectOptions, rewrite
from mvideo_core.masks.io.clip import MaskClip, with_masks


@rewrite("fill_holes", ObjectOptions)
def fill_holes(clip: MaskClip, options: ObjectOptions) -> MaskClip:
    """Fill the areas that an object encloses; a bay that opens to the outside stays."""
    return with_masks(clip, options.objects, binary_fill_holes)
