import numpy as np
import pytest
from pycocotools import mask as coco

from mvideo_core.masks.io.coco_rle import coco_rle


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
