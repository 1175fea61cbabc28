"""Selection on boxes drawn by hand."""

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.perception.detection.base import Detections, candidates, merge
from mvideo_core.perception.detection.options import DetectOptions
from mvideo_core.perception.detection.select import iou_matrix, select


def detections(*rows):
    return Detections(
        np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        [row[2] for row in rows],
    )


A = ([0, 0, 10, 10], 0.9, "dog")
A_MOVED = ([2, 0, 12, 10], 0.8, "cat")  # 80 of 120 pixels shared with A: IoU 2/3
FAR = ([50, 50, 90, 90], 0.5, "person")


def test_iou_by_hand():
    boxes = np.array([[2, 0, 12, 10], [20, 20, 30, 30], [0, 0, 10, 10], [5, 5, 5, 5]], float)
    np.testing.assert_allclose(iou_matrix(np.array([[0, 0, 10, 10.0]]), boxes), [[2 / 3, 0, 1, 0]])


def test_nms_crosses_classes_and_names_the_overlap():
    options = DetectOptions(nms_iou=0.6, min_area_frac=0)
    kept, dropped = select(detections(A_MOVED, FAR, A), options, 100, 100)
    assert kept.labels == ["dog", "person"]
    assert [(d.candidate, d.reason, d.threshold) for d in dropped] == [(0, "nms", 0.6)]
    assert dropped[0].value == pytest.approx(2 / 3)
    assert select(detections(A_MOVED, FAR, A), DetectOptions(nms_iou=0.7, min_area_frac=0), 100, 100).kept.labels == [
        "dog", "cat", "person"]  # fmt: skip


def test_every_reason():
    rows = [A, ([0, 0, 2, 2], 0.7, "bird"), ([0, 0, 100, 99], 0.6, "bed"), FAR, ([60, 0, 90, 30], 0.4, "kite"),
            ([30, 30, 45, 45], 0.1, "cup")]  # fmt: skip
    options = DetectOptions(max_objects=2, min_area_frac=0.001, max_area_frac=0.95, box_threshold=0.3)
    kept, dropped = select(detections(*rows), options, 100, 100)
    assert kept.labels == ["dog", "person"]
    np.testing.assert_array_equal(kept.scores, np.array([0.9, 0.5], np.float32))
    reasons = {d.candidate: (d.reason, round(d.value, 6), d.threshold) for d in dropped}
    assert reasons == {
        1: ("too_small", 0.0004, 0.001),
        2: ("too_large", 0.99, 0.95),
        4: ("max_objects", 3.0, 2.0),
        5: ("low_score", 0.1, 0.3),
    }


def test_input_order_does_not_matter():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 60, (40, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 40, (40, 2))], axis=1)
    rows = [(box, round(float(rng.uniform(0.2, 1)), 1), str(rng.choice(["a", "b"]))) for box in boxes]
    first = select(detections(*rows), DetectOptions(), 100, 100).kept
    for _ in range(3):
        rng.shuffle(rows)
        again = select(detections(*rows), DetectOptions(), 100, 100).kept
        assert again.labels == first.labels
        np.testing.assert_array_equal(again.boxes_xyxy, first.boxes_xyxy)


def test_nothing_in_nothing_out():
    kept, dropped = select(
        Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), []), DetectOptions(), 480, 720
    )
    assert len(kept) == 0
    assert kept.boxes_xyxy.shape == (0, 4)
    assert dropped == []


def test_candidates_by_hand():
    boxes = np.array([[0.5, 0.5, 0.2, 0.5], [0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 0.1, 0.1]], np.float32)
    scores = np.array([[0.1, 0.3], [0.6, 0.2], [0.01, 0.02]], np.float32)
    found = candidates(boxes, scores, ["dog", "cat"], (100, 200), floor=0.05)
    assert found.labels == ["dog", "cat"]
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 50, 25], [80, 25, 120, 75]], atol=1e-4)


def test_merge_keeps_the_best_first():
    both = merge([detections(FAR, A), detections(A_MOVED)])
    assert both.labels == ["dog", "cat", "person"]
    np.testing.assert_array_equal(both.boxes_xyxy[1], [2, 0, 12, 10])


def test_classes_and_unknown_options():
    assert len(DetectOptions().phrases()) == 80
    assert DetectOptions(classes=["llama"]).phrases() == ["llama"]
    with pytest.raises(ConfigError, match="box_treshold"):
        DetectOptions.parse({"box_treshold": 0.5})
