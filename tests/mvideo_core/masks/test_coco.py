import numpy as np
import pytest
from pycocotools import mask as reference

from mvideo_core.base.errors import MediaError
from mvideo_core.masks import coco, encode


def test_counts_by_hand():
    mask = np.array([[0, 1], [1, 1], [0, 0]], bool)  # columns: 0 1 0 | 1 1 0
    assert coco.counts_of(mask).tolist() == [1, 1, 1, 2, 1]
    assert coco.counts_of(np.ones((2, 2), bool)).tolist() == [0, 4]
    np.testing.assert_array_equal(coco.pixels_of([1, 1, 1, 2, 1], 3, 2), mask)


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_text_equals_the_reference_both_ways(density):
    mask = np.random.default_rng(3).random((37, 211)) < density
    want = reference.encode(np.asfortranarray(mask.view(np.uint8)))["counts"].decode()
    assert coco.to_text(coco.counts_of(mask)) == want
    np.testing.assert_array_equal(coco.pixels_of(want, 37, 211), mask)


def test_clip_round_trip():
    masks = np.random.default_rng(5).random((2, 3, 11, 13)) < 0.3
    sequence = encode(masks)
    assert coco.from_coco(coco.to_coco(sequence)) == sequence
    as_lists = [[{"size": [11, 13], "counts": coco.counts_of(m).tolist()} for m in f] for f in masks]
    assert coco.from_coco(as_lists) == sequence


@pytest.mark.parametrize("counts", ["", "~", "\x10", "é", "P", "oooooooo0", [5], [-1, 13], [12, 1], [2**62, 2**62]])
def test_damaged_counts_are_refused(counts):
    with pytest.raises(MediaError, match="COCO counts"):
        coco.pixels_of(counts, 3, 4)


@pytest.mark.parametrize(
    "masklet",
    [
        [],
        [[]],
        [[{"counts": "0"}]],
        [[{"size": [2, 2], "counts": [4]}], []],
        [[{"size": [2, 2], "counts": [4]}], [{"size": [2, 3], "counts": [6]}]],
        [[{"size": [10**6, 10**6], "counts": [10**12]}]],
    ],
)
def test_masklets_that_do_not_fit_together_are_refused(masklet):
    with pytest.raises(MediaError):
        coco.from_coco(masklet)
