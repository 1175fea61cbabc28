import numpy as np
import pytest
from pycocotools import mask as coco

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.io.coco_rle import coco_rle, from_coco_rle


def test_columns_of_a_small_mask_by_hand():
    # columns: 0 1 | 1 1 | 0 0: runs of 1, 3, 2; a number below 16 is the character 48 + number
    assert coco_rle(np.array([[0, 1, 0], [1, 1, 0]], bool)) == {"size": [2, 3], "counts": "132"}


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (480, 720)])
def test_same_text_as_pycocotools(shape, density):
    mask = np.random.default_rng(3).random(shape) < density
    mask[: shape[0] // 2] ^= density == 0.01  # long runs, and one that starts with the first pixel
    expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert coco_rle(mask) == {"size": list(shape), "counts": expected["counts"].decode()}
    assert np.array_equal(coco.decode(coco_rle(mask)).astype(bool), mask)
    assert np.array_equal(from_coco_rle({"size": shape, "counts": expected["counts"].decode()}), mask)


def test_plain_runs_by_hand_and_damaged_masks():
    # columns of 2: 0 1 | 1 1 | 0 0
    assert from_coco_rle({"size": [2, 3], "counts": [1, 3, 2]}).tolist() == [[0, 1, 0], [1, 1, 0]]
    for damaged, words in [
        ({"size": [2, 3], "counts": [1, 3, 1]}, "COCO runs of 5 px for a frame of 3x2 px"),
        ({"size": [2, 3], "counts": [-1, 5, 2]}, "COCO runs of 6 px"),
        ({"size": [2, 3], "counts": "13"}, "COCO runs of 4 px"),
        ({"size": [2, 3], "counts": "1\x7f"}, "not a COCO run-length mask"),
        ({"size": [2, 3], "counts": "13o"}, "not a COCO run-length mask"),
        ({"size": [2, 3]}, "not a COCO run-length mask"),
        ({"size": [2], "counts": "132"}, "not a COCO run-length mask"),
        ([[10, 10, 20, 20]], "a polygon or box instead of"),
    ]:
        with pytest.raises(MediaError, match=words):
            from_coco_rle(damaged)
