"""Select boxes to segment from raw candidates, with a reason for every drop."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mvideo_core.perception.detection.base import Detections
from mvideo_core.perception.detection.options import DetectOptions


class DroppedBox(NamedTuple):
    """A candidate dropped by a rule: its index, the rule, the value seen and the limit."""

    candidate: int
    reason: str
    value: float
    threshold: float


class Selection(NamedTuple):
    """Kept boxes (best first) and dropped boxes (in candidate order)."""

    kept: Detections
    dropped: list[DroppedBox]


def select(detections: Detections, options: DetectOptions, height: int, width: int) -> Selection:
    """Threshold, area, class-agnostic NMS and top-N, in that order; the result does not depend on the input order.

    Args:
        detections: raw candidates, boxes in pixels of a frame of `height` x `width`.
        options: limits.
    """
    boxes, scores = detections.boxes_xyxy.astype(np.float64), detections.scores.astype(np.float64)
    area = np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0) / (height * width)
    kept: list[int] = []
    dropped: list[DroppedBox] = []
    for i in _order(boxes, scores, detections.labels):
        drop = _drop_by_value(i, scores[i], area[i], options)
        if drop is None and kept:
            overlap = float(iou_matrix(boxes[[i]], boxes[kept]).max())
            if overlap > options.nms_iou:
                drop = DroppedBox(i, "nms", overlap, options.nms_iou)
        if drop is None and len(kept) >= options.max_objects:
            drop = DroppedBox(i, "max_objects", float(len(kept) + 1), float(options.max_objects))
        if drop is None:
            kept.append(i)
        else:
            dropped.append(drop)
    chosen = Detections(detections.boxes_xyxy[kept], detections.scores[kept], [detections.labels[i] for i in kept])
    return Selection(chosen, sorted(dropped))


def iou_matrix(a_N4: np.ndarray, b_M4: np.ndarray) -> np.ndarray:
    """(N, M) IoU of xyxy boxes; 0 where both areas are 0."""
    low, high = np.maximum(a_N4[:, None, :2], b_M4[:, :2]), np.minimum(a_N4[:, None, 2:], b_M4[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a_N4, b_M4))
    return shared / np.maximum(area_a[:, None] + area_b - shared, 1e-12)


def _order(boxes: np.ndarray, scores: np.ndarray, labels: Sequence[str]) -> list[int]:
    """Best score first; equal scores by label, then by box, so that the order of the candidates does not matter."""
    return sorted(range(len(scores)), key=lambda i: (-scores[i], labels[i], tuple(boxes[i])))


def _drop_by_value(index: int, score: float, area: float, options: DetectOptions) -> DroppedBox | None:
    if score < options.box_threshold:
        return DroppedBox(index, "low_score", float(score), options.box_threshold)
    if area < options.min_area_frac:
        return DroppedBox(index, "too_small", float(area), options.min_area_frac)
    if area > options.max_area_frac:
        return DroppedBox(index, "too_large", float(area), options.max_area_frac)
    return None
