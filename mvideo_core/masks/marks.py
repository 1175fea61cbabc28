"""Marks on frames for a vision-language model: a thin outline and a number per object.

Marks in the picture let a prompt refer to objects ("set-of-mark", Yang et al. 2023). Here the inside of a mask stays
as it is, so that colors can be seen. Shape letters: T frames, N objects, H, W.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mvideo_core.masks.draw import draw_outlines, draw_tag

MARK_COLORS = ((255, 225, 25), (0, 230, 255), (255, 40, 230), (70, 255, 70), (255, 60, 50), (60, 90, 255),
               (255, 150, 30), (255, 255, 255))  # fmt: skip
"""RGB; each object gets the one that differs most from its surroundings and from itself, if possible a free one."""
LETTERS_FRAC = 1 / 24
"""Height of the numbers, as a fraction of the frame's shorter side."""
LEAST_LETTERS_PX = 11
COVERED_FRAC = 0.12
"""A number that would cover more than this part of its object is put beside it."""
_OUTLINE_PX = 400
"""Outlines get one more pixel of width for each of so many pixels of the frame's shorter side."""


class Spot(NamedTuple):
    """Place of a number on a frame: the tag's box, px, half-open."""

    x0: int
    y0: int
    x1: int
    y1: int


def draw_marks(frames_THWC: np.ndarray, masks_TNHW: np.ndarray) -> tuple[np.ndarray, list[list[Spot | None]]]:
    """Frames with every visible object outlined and numbered from 1; an object's color is the same on all frames.

    Args:
        frames_THWC: uint8 RGB.
        masks_TNHW: bool.

    Returns:
        The marked frames; per frame and object, where its number is, None if it is not visible there or no place was
        left for it (then it has no outline either).
    """
    colors = _choose_colors(frames_THWC, masks_TNHW)
    letters_px = max(LEAST_LETTERS_PX, round(min(frames_THWC.shape[1:3]) * LETTERS_FRAC))
    tags = [draw_tag(str(n + 1), color, letters_px) for n, color in enumerate(colors)]
    width_px = max(1, round(min(frames_THWC.shape[1:3]) / _OUTLINE_PX))
    drawn, places = [], []
    for frame_HWC, masks_NHW in zip(frames_THWC, masks_TNHW, strict=True):
        spots = place_tags(masks_NHW, [(tag.shape[1], tag.shape[0]) for tag in tags])
        shown = [n for n, spot in enumerate(spots) if spot is not None]
        marked = draw_outlines(frame_HWC, masks_NHW[shown], [colors[n] for n in shown], width_px)
        for tag, spot in zip(tags, spots, strict=True):
            if spot is not None:
                marked[spot.y0 : spot.y1, spot.x0 : spot.x1] = tag
        drawn.append(marked)
        places.append(spots)
    return np.stack(drawn), places


def place_tags(masks_NHW: np.ndarray, sizes: Sequence[tuple[int, int]]) -> list[Spot | None]:
    """Where the tag of each object goes: inside its mask if it covers little of it, otherwise next to it.

    Tags never overlap. A tag's center is nearer to its own mask than to any other.

    Args:
        masks_NHW: bool.
        sizes: width and height of each tag, px.

    Returns:
        One box per object; None if it is not visible or no place is left.
    """
    height, width = masks_NHW.shape[1:]
    away_NHW = [_distance(mask_HW) for mask_HW in masks_NHW]
    taken = np.zeros((height, width), bool)
    spots: list[Spot | None] = [None] * len(masks_NHW)
    for n in sorted(range(len(masks_NHW)), key=lambda n: (int(masks_NHW[n].sum()), n)):  # the smallest are least free
        if not masks_NHW[n].any() or sizes[n][0] > width or sizes[n][1] > height:
            continue
        others = [away for m, away in enumerate(away_NHW) if m != n and masks_NHW[m].any()]
        spots[n] = spot = _best_spot(masks_NHW[n], away_NHW[n], others, taken, sizes[n])
        if spot is not None:
            taken[max(0, spot.y0 - 1) : spot.y1 + 1, max(0, spot.x0 - 1) : spot.x1 + 1] = True
    return spots


def _best_spot(
    mask_HW: np.ndarray, away_HW: np.ndarray, others: Sequence[np.ndarray], taken_HW: np.ndarray, size: tuple[int, int]
) -> Spot | None:
    width, height = size
    own, used = _measure_cover(mask_HW, size), _measure_cover(taken_HW, size)
    center = (slice(height // 2, height // 2 + own.shape[0]), slice(width // 2, width // 2 + own.shape[1]))
    away = away_HW[center]
    foreign = np.min([other[center] for other in others], axis=0) if others else np.full(away.shape, np.inf)
    in_foreign = sum((_measure_cover(other == 0, size) for other in others), np.zeros(own.shape))
    fits_inside = width * height <= COVERED_FRAC * mask_HW.sum()
    # inside: fully within and far from the outline; outside: close, and covering little of any mask
    depth = np.minimum(away_HW.min(), 0) if fits_inside else 0
    cost = 2 * (1 - own) if fits_inside else 10 * own
    cost = cost + 3 * in_foreign + np.maximum(away, 0) / (width + height)
    if fits_inside and depth < 0:
        cost = cost + 0.5 * (1 - np.minimum(away, 0) / depth)
    cost[(used > 0) | (away >= foreign)] = np.inf
    best = int(cost.argmin())
    if not np.isfinite(cost.flat[best]):
        return None
    y, x = divmod(best, cost.shape[1])
    return Spot(x, y, x + width, y + height)


def _distance(mask_HW: np.ndarray) -> np.ndarray:
    """Pixels to the mask; inside, minus the pixels to its outline."""
    import cv2

    if not mask_HW.any():
        return np.full(mask_HW.shape, np.inf, np.float32)
    outside = cv2.distanceTransform((~mask_HW).astype(np.uint8), cv2.DIST_L2, 5)
    padded = np.pad(mask_HW.astype(np.uint8), 1)  # the frame's edge is an outline too
    inside = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(outside - inside)


def _measure_cover(mask_HW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Part of a box of this size that is in the mask, for every position of its top left corner inside the frame."""
    import cv2

    width, height = size
    total = cv2.integral(mask_HW.astype(np.uint8))
    inside = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    return np.asarray(inside / (width * height))


def _choose_colors(frames_THWC: np.ndarray, masks_TNHW: np.ndarray) -> list[tuple[int, int, int]]:
    """A color per object, far from the colors inside and around its mask on the frame where it is largest."""
    chosen: list[tuple[int, int, int]] = []
    for n in range(masks_TNHW.shape[1]):
        areas_T = masks_TNHW[:, n].sum(axis=(1, 2))
        frame_HWC, mask_HW = frames_THWC[areas_T.argmax()], masks_TNHW[areas_T.argmax(), n]
        seen = [frame_HWC[part].mean(axis=0) for part in (mask_HW, _ring(mask_HW)) if part.any()]
        free = [color for color in MARK_COLORS if color not in chosen] or list(MARK_COLORS)
        chosen.append(max(free, key=lambda color: min((_gap(color, one) for one in seen), default=0.0)))
    return chosen


def _gap(color: tuple[int, int, int], other: np.ndarray) -> float:
    return float(np.abs(np.array(color, np.float64) - other).sum())


def _ring(mask_HW: np.ndarray) -> np.ndarray:
    """Pixels around the mask."""
    import cv2

    grown = cv2.dilate(mask_HW.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    return np.asarray(grown & ~mask_HW)
