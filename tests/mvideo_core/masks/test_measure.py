import numpy as np
import pytest

from mvideo_core.masks import encode, measure


def rectangles(*boxes: tuple[int, int, int, int], height: int = 10, width: int = 12) -> np.ndarray:
    """One frame, one object per half-open box."""
    masks = np.zeros((1, len(boxes), height, width), bool)
    for n, (x0, y0, x1, y1) in enumerate(boxes):
        masks[0, n, y0:y1, x0:x1] = True
    return masks


def test_two_rectangles_by_hand():
    a = encode(rectangles((1, 2, 5, 6), (3, 4, 12, 7), (0, 0, 0, 0)))  # 4x4, 9x3, empty; common part 2x2
    first, second, empty = (a.mask_edges(0, n) for n in range(3))
    assert measure.area(first) == 16
    assert measure.area(second) == 27
    assert measure.intersection(first, second) == measure.intersection(second, first) == 4
    assert measure.union(first, second) == 39
    assert measure.iou(first, second) == 4 / 39
    assert measure.box_xyxy(second, 12) == (3, 4, 12, 7)
    assert measure.box_xyxy(empty, 12) == (0, 0, 0, 0)
    assert measure.iou(first, empty) == 0.0
    assert measure.iou(empty, empty) == 1.0
    assert measure.iou(empty, empty, empty=0.0) == 0.0


def test_iou_of_pixels_by_hand():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert measure.pixel_iou(a, b) == 1.0
    a[:2], b[1:3] = True, True
    assert measure.pixel_iou(a, b) == pytest.approx(4 / 12)


def test_noise_against_pixels():
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 2, 9, 70)) < 0.4, rng.random((3, 2, 9, 70)) < 0.7
    a[1, 0] = False
    left, right = encode(a), encode(b)
    np.testing.assert_array_equal(measure.areas(left), a.sum((2, 3)))
    np.testing.assert_allclose(measure.ious(left, right), (a & b).sum((2, 3)) / (a | b).sum((2, 3)))
    for t in range(3):
        for n in range(2):
            y, x = np.nonzero(a[t, n])
            want = [x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0]
            assert measure.boxes_xyxy(left)[t, n].tolist() == want


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        measure.ious(encode(np.zeros((1, 1, 4, 4), bool)), encode(np.zeros((2, 1, 4, 4), bool)))


def test_drift_of_a_square_that_moves_half_its_side():
    masks = np.zeros((4, 1, 8, 20), bool)
    masks[0, 0, 2:6, 0:4] = True
    masks[1, 0, 2:6, 2:6] = True  # IoU 8 / 24 with the frame before
    masks[3, 0, 2:6, 2:6] = True  # frame 2 is empty: neither pair counts
    assert measure.drift(encode(masks), 0) == pytest.approx(1 - 1 / 3)
    assert measure.drift(encode(masks[2:3]), 0) == 0.0
