"""Masks grown and shrunk by a disc: exact distances at any radius."""

import cv2
import numpy as np

from mvideo_core.masks.io.clip import Mask


def dilate(mask_HW: Mask, px: float) -> Mask:
    """All pixels whose center is within `px` of the center of a pixel of the mask."""
    if not mask_HW.any():
        return mask_HW
    distance_HW = cv2.distanceTransform((~mask_HW).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near: Mask = distance_HW <= px + 1e-4
    return near


def shrunk(mask_HW: Mask, px: float) -> Mask:
    """All pixels of the mask further than `px` from its outside; beyond the frame nothing counts as outside."""
    return ~dilate(~mask_HW, px)
