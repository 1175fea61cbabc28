"""Masks grown and shrunk by a disc, their hulls, and distances to their outlines: exact at any radius."""

import numpy as np

from mvideo_core.masks.io.clip import Mask


def dilate(mask_HW: Mask, px: float) -> Mask:
    """All pixels whose center is within `px` of the center of a pixel of the mask."""
    if not mask_HW.any():
        return mask_HW
    near: Mask = _distance_to(mask_HW) <= px + 1e-4
    return near


def erode(mask_HW: Mask, px: float) -> Mask:
    """All pixels of the mask farther than `px` from its outside; the area beyond the frame does not count as
    outside.
    """
    return ~dilate(~mask_HW, px)


def hull(mask_HW: Mask) -> Mask:
    """The smallest convex area that contains the centers of all pixels of the mask."""
    if not mask_HW.any():
        return mask_HW
    import cv2

    rows, columns = np.nonzero(mask_HW)
    outline = cv2.convexHull(np.stack([columns, rows], axis=1).astype(np.int32))
    filled = cv2.fillConvexPoly(np.zeros(mask_HW.shape, np.uint8), outline, 1)
    convex: Mask = filled > 0
    return convex


def signed_distance(mask_HW: Mask) -> np.ndarray:
    """Distance of every pixel's center to the nearest pixel on the other side, float32; negative inside.

    A side without a pixel is infinitely far away.
    """
    return np.where(mask_HW, -_distance_to(~mask_HW), _distance_to(mask_HW))


def _distance_to(mask_HW: Mask) -> np.ndarray:
    """Distance of every pixel to the nearest pixel of the mask, float32."""
    if not mask_HW.any():
        return np.full(mask_HW.shape, np.inf, np.float32)
    import cv2

    distance_HW: np.ndarray = cv2.distanceTransform((~mask_HW).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return distance_HW
