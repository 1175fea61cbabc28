import json
import math
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.mask_grid import on_grid
from mvideo_core.evaluation.mask_overlap import OverlapPolicy, fill_boxes, merge_objects, overlap, prompt_boxes
from mvideo_core.masks import encode
from tests.mvideo_core.evaluation.davis_masks import drawn_masks

SKIP, ONE = OverlapPolicy(), OverlapPolicy(empty_frames="one")


def square(x: int, y: int = 10, side: int = 20, size: tuple[int, int] = (60, 80)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def clip(*frames) -> np.ndarray:
    return np.stack([np.stack(frame) for frame in frames])


def test_perfect_masks_score_one_in_every_number():
    masks = encode(clip([square(3)], [square(5)]))
    found = overlap(masks, masks, SKIP)
    assert (found.value, found.per_frame) == (1.0, (1.0, 1.0))
    assert found.details == {
        "j": 1.0, "f": 1.0, "j_and_f": 1.0, "box_fill": 1.0, "n_frames": 2.0, "n_skipped": 0.0, "n_unfound": 0.0,
        "n_objects": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize("d", [1, 5, 20, 30])
def test_a_square_shifted_by_d_of_its_side_s_scores_s_minus_d_over_s_plus_d(d):
    found = overlap(encode(clip([square(10)])), encode(clip([square(10 + d)])), SKIP)
    assert found.value == pytest.approx(max(0, 20 - d) / (20 + min(d, 20)), abs=1e-12)


def test_empty_frames_by_policy():
    none = np.zeros((60, 80), bool)
    true = encode(clip([square(3)], [none], [none], [square(3)]))
    seen = encode(clip([square(3)], [none], [square(9)], [none]))
    skipped = overlap(true, seen, SKIP)
    assert skipped.per_frame == (1.0, None, None, 0.0)
    assert (skipped.value, skipped.details["n_skipped"], skipped.details["n_unfound"]) == (0.5, 2, 1)
    counted = overlap(true, seen, ONE)
    assert counted.per_frame == (1.0, 1.0, 0.0, 0.0)
    assert (counted.value, counted.details["n_skipped"]) == (0.5, 0)
    assert skipped.details["j"] == counted.details["j"] == 0.5  # DAVIS' own rule, whatever the policy
    with pytest.raises(MediaError, match="no frame of 1 has a mask"):
        overlap(encode(clip([none])), encode(clip([none])), SKIP)
    assert overlap(encode(clip([none])), encode(clip([none])), ONE).value == 1.0


def test_several_objects_as_one_union_or_as_their_mean():
    true = encode(clip([square(0), square(40)]))
    swapped = encode(clip([square(40), square(0)]))
    half = encode(clip([square(0), np.zeros((60, 80), bool)]))
    mean = OverlapPolicy(objects="per_object")
    assert overlap(true, swapped, SKIP).value == 1.0
    assert overlap(true, swapped, mean).value == 0.0
    assert overlap(true, half, SKIP).value == overlap(true, half, mean).value == 0.5
    absent = encode(clip([square(0), np.zeros((60, 80), bool)]))
    assert overlap(absent, absent, mean).per_frame == (1.0,)  # the object that is not there does not count
    assert merge_objects(true).shape == (1, 1, 60, 80)


def test_a_filled_box_around_a_disc_scores_nearly_pi_over_4():
    y, x = np.mgrid[:200, :240]
    disc = encode(((x - 120) ** 2 + (y - 100) ** 2 <= 90**2)[None, None])
    box = encode(fill_boxes(disc, 0)[None])
    found = overlap(disc, box, SKIP)
    assert found.value == found.details["box_fill"] == pytest.approx(math.pi / 4, abs=0.01)
    assert overlap(disc, disc, SKIP).details["box_fill"] == found.value


def test_boxes_hold_their_last_pixel_and_leave_absent_objects_out():
    masks = encode(clip([np.zeros((60, 80), bool), square(3)]))
    objects, boxes = prompt_boxes(masks, 0)
    assert objects == [1]
    assert boxes.tolist() == [[3, 10, 22, 29]]


def test_j_and_f_are_those_of_davis2017_evaluation():
    """Golden numbers of the original code on the same masks; `davis_masks.py` makes them again."""
    golden = json.loads((Path(__file__).parent / "davis_golden.json").read_text(encoding="utf-8"))
    true, seen = drawn_masks()
    for n in range(2):
        for frames, policy in ((slice(None), SKIP), (slice(1, -1), OverlapPolicy(davis_frames="inner"))):
            found = overlap(encode(true[:, n : n + 1]), encode(seen[:, n : n + 1]), policy).details
            want = [np.mean(golden[name][n][frames]) for name in ("j", "f")]
            assert [found["j"], found["f"]] == pytest.approx(want, abs=1e-12)
            assert found["j_and_f"] == pytest.approx(np.mean(want), abs=1e-12)
    both = overlap(encode(true), encode(seen), SKIP).details
    assert both["j"] == pytest.approx(np.mean(golden["j"]), abs=1e-12)
    for t in range(len(true)):  # frame by frame, so that no two errors cancel
        one = overlap(encode(true[t : t + 1]), encode(seen[t : t + 1]), ONE).details
        assert one["f"] == pytest.approx(np.mean([golden["f"][n][t] for n in range(2)]), abs=1e-12)


def test_masks_take_the_videos_size_by_nearest_pixels():
    small = np.array([[[[1, 0, 0], [0, 0, 1]]]], bool)
    large = on_grid(encode(small), np.array([0, 0]), 4, 6)
    assert large.shape == (2, 1, 4, 6)
    assert np.array_equal(large.mask(1, 0), np.kron(small[0, 0], np.ones((2, 2), bool)))
    assert np.array_equal(on_grid(large, np.array([1]), 2, 3).pixels(), small)


def test_other_shapes_are_an_error_unless_fitted():
    wide = encode(np.ones((1, 1, 4, 8), bool))
    with pytest.raises(MediaError, match="aspect ratios differ"):
        on_grid(wide, np.array([0]), 6, 6)
    boxed = on_grid(wide, np.array([0]), 8, 8, "letterbox").mask(0, 0)
    assert boxed.any(axis=1).tolist() == [False, False, True, True, True, True, False, False]
    assert boxed.sum() == 4 * 8
    assert on_grid(wide, np.array([0]), 6, 6, "stretch").mask(0, 0).all()
    left = np.zeros((1, 1, 4, 8), bool)
    left[..., :2] = True
    assert not on_grid(encode(left), np.array([0]), 4, 4, "crop").mask(0, 0).any()
