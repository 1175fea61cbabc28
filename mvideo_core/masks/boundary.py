"""Boundary accuracy F, as DAVIS defines it (Perazzi et al. 2016; davis2017-evaluation).

DAVIS's J is `measure.pixel_iou`.
"""

import functools
import math

import numpy as np

BOUND_TH = 0.008
"""Tolerance of a boundary match as a fraction of the frame's diagonal."""


def boundary_f(seen: np.ndarray, true: np.ndarray, bound_th: float = BOUND_TH) -> float:
    """Harmonic mean of boundary precision and recall of two (H, W) bool masks.

    A boundary pixel matches if the other mask has one within ceil(bound_th * diagonal) pixels. Both empty: 1.
    """
    import cv2

    reach = math.ceil(bound_th * math.hypot(*seen.shape))
    box = _joint_box(seen, true, reach + 2)
    if box is None:
        return 1.0
    rows, columns = box
    edge_seen, edge_true = edge_map(seen)[rows, columns], edge_map(true)[rows, columns]
    n_seen, n_true = int(edge_seen.sum()), int(edge_true.sum())
    if not n_seen or not n_true:
        return 1.0 if n_seen == n_true else 0.0
    kernel = _disk(reach)
    near_true = cv2.dilate(edge_true.astype(np.uint8), kernel).astype(bool)
    near_seen = cv2.dilate(edge_seen.astype(np.uint8), kernel).astype(bool)
    precision = int((edge_seen & near_true).sum()) / n_seen
    recall = int((edge_true & near_seen).sum()) / n_true
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def edge_map(mask: np.ndarray) -> np.ndarray:
    """One-pixel boundary, bool (H, W): where a pixel differs from its right, lower or lower-right neighbor."""
    out = np.zeros_like(mask)
    right, down = mask[:, :-1] ^ mask[:, 1:], mask[:-1] ^ mask[1:]
    out[:, :-1] |= right
    out[:-1] |= down
    out[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return out


@functools.lru_cache(maxsize=8)
def _disk(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius).astype(np.uint8)


def _joint_box(a: np.ndarray, b: np.ndarray, margin: int) -> tuple[slice, slice] | None:
    both = a | b
    rows, columns = np.flatnonzero(both.any(axis=1)), np.flatnonzero(both.any(axis=0))
    if not len(rows):
        return None
    return (slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
            slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1))  # fmt: skip
