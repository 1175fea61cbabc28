"""Transforms one mask by an affine map. Pixels exist only inside the object's box, before and after."""

import math

import numpy as np

from mvideo_core.editing.geometry import map_points
from mvideo_core.masks.codec import fill_runs
from mvideo_core.masks.io.clip import edges_of
from mvideo_core.masks.measure import box_xyxy

MAX_SUPERSAMPLING = 8
CUT_FRAC = 0.02
IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_EMPTY = np.zeros(0, np.int32)


def warp_edges(edges: np.ndarray, map_23: np.ndarray, height: int, width: int) -> np.ndarray:
    """Runs of the mask after the map; parts outside the frame are cut off.

    A pixel is set if at least half of it is covered by the (bilinearly drawn) mask; shrinking averages over subpixels
    first, so that thin parts do not flicker. The identity and whole-pixel shifts, mirrors and quarter turns are exact.

    Args:
        edges: runs as in `masks.codec`.
        map_23: from source to result, continuous pixels.
    """
    if len(edges) == 0 or np.array_equal(map_23, IDENTITY):
        return edges
    x0, y0, x1, y1 = box_xyxy(edges, width)
    corners = map_points(map_23, np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], np.float64))
    low = np.clip(np.floor(corners.min(axis=0)) - 1, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, (width, height)).astype(int)
    if np.any(high <= low):
        return _EMPTY
    source = pixels_of(edges, height, width)[y0:y1, x0:x1].astype(np.float32)
    drawn = _draw_coverage(source, (x0, y0), map_23, low, high - low)
    return edges_of(drawn >= 0.5 - 1e-4, int(low[1]), int(low[0]), width)


def cut_shows(edges: np.ndarray, map_23: np.ndarray, height: int, width: int) -> bool:
    """Whether the mask touches a side of the frame that the map moves well inside (by 2% of the frame)."""
    if len(edges) == 0 or np.array_equal(map_23, IDENTITY):
        return False
    x0, y0, x1, y1 = box_xyxy(edges, width)
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
    sides = (
        (x0 == 0, 0, middle_y),
        (x1 == width, width, middle_y),
        (y0 == 0, middle_x, 0),
        (y1 == height, middle_x, height),
    )
    touched = np.array([(x, y) for touches, x, y in sides if touches], np.float64).reshape(-1, 2)
    share = map_points(map_23, touched) / (width, height)
    return bool(np.all((share > CUT_FRAC) & (share < 1 - CUT_FRAC), axis=1).any())


def pixels_of(edges: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mask as bool (H, W)."""
    pixels = np.zeros(height * width, np.bool_)
    fill_runs(pixels, edges)
    return pixels.reshape(height, width)


def _draw_coverage(
    source: np.ndarray, origin: tuple[int, int], map_23: np.ndarray, low: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Coverage of the result pixels [low, low + size)."""
    import cv2

    scale = math.sqrt(abs(np.linalg.det(map_23[:, :2])))
    fine = min(MAX_SUPERSAMPLING, max(1, math.ceil(1 / max(scale, 1e-6) - 1e-9)))
    # OpenCV counts from pixel centers: index = coordinate - 0.5, at both ends of the map.
    linear = map_23[:, :2] * fine
    offset = linear @ (np.array(origin) + 0.5) + (map_23[:, 2] - low) * fine - 0.5
    padded = cv2.copyMakeBorder(source, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    matrix = np.concatenate([linear, (offset - linear.sum(axis=1))[:, None]], axis=1)
    width, height = (int(side) * fine for side in size)
    drawn = cv2.warpAffine(padded, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    if fine > 1:
        drawn = drawn.reshape(height // fine, fine, width // fine, fine).mean(axis=(1, 3))
    return drawn
