"""Objects in one piece."""

import numpy as np
from scipy.ndimage import label

from mvideo_core.editing.operations import ObjectOptions, rewrite
from mvideo_core.masks.io.clip import Mask, MaskClip, with_masks


@rewrite("largest_part", ObjectOptions)
def largest_part(clip: MaskClip, options: ObjectOptions) -> MaskClip:
    """Keep the largest connected part of each object in each frame; pixels that touch at a corner are connected."""
    return with_masks(clip, options.objects, _largest)


def _largest(mask_HW: Mask) -> Mask:
    parts_HW, n_parts = label(mask_HW, np.ones((3, 3)))
    if n_parts < 2:
        return mask_HW
    sizes = np.bincount(parts_HW.ravel())
    largest: Mask = parts_HW == sizes[1:].argmax() + 1
    return largest
