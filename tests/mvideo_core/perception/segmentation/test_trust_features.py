"""Features of masks, by hand on drawn boxes; a frame is 60 x 40 px."""

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.masks import encode
from mvideo_core.perception.segmentation.trust_features import FEATURES, measure_clip

Box = tuple[int, int, int, int]
RED, BLUE, GRAY = (250, 10, 10), (10, 10, 250), (128, 128, 128)


def drawn(objects: list[list[Box | None]], colors: list[tuple[int, int, int]], ground=GRAY):
    """Masks (T, N, 40, 60) of boxes xyxy, and frames with the boxes in these colors."""
    n_frames = len(objects[0])
    masks, frames = np.zeros((n_frames, len(objects), 40, 60), bool), np.full((n_frames, 40, 60, 3), ground, np.uint8)
    for n, (boxes, color) in enumerate(zip(objects, colors, strict=True)):
        for t, box in enumerate(boxes):
            if box:
                masks[t, n, box[1] : box[3], box[0] : box[2]] = True
                frames[t, box[1] : box[3], box[0] : box[2]] = color
    return masks, frames


def measured(masks, frames, scores=None, **known):
    scores = np.ones(masks.shape[:2]) if scores is None else np.array(scores, float).reshape(masks.shape[:2])
    found = measure_clip(encode(masks), scores, frames, [0.6] * masks.shape[1], **known)
    assert found.dtype == np.float32
    assert found.shape == (*masks.shape[:2], len(FEATURES))
    return found


def get(found: np.ndarray, name: str, obj: int = 0) -> list[float]:
    return found[:, obj, FEATURES.index(name)].astype(float).round(4).tolist()


def test_a_box_that_moves_keeps_its_shape():
    boxes = [(5, 10, 15, 20), (8, 10, 18, 20), (11, 14, 21, 24), (49, 14, 59, 24)]
    found = measured(*drawn([boxes], [RED]), scores=[0.9, 0.8, 0.9, 0.4])
    assert get(found, "size") == [round(np.log(100 / 2400), 4)] * 4
    assert get(found, "iou_before") == [1.0] * 4
    assert get(found, "speed") == [0.0, 0.3, 0.5, 3.8]  # 3, 5 and 38 px; the root of the area is 10 px
    assert get(found, "speed_change") == [0.0, 0.3, 0.4, round(float(np.hypot(35, 4)) / 10, 4)]
    for name in ("parts", "main_share", "extent", "raggedness"):
        assert get(found, name) == [1.0] * 4
    assert get(found, "border") == [0.0, 0.0, 0.0, 0.0]
    assert get(found, "score") == [0.9, 0.8, 0.9, 0.4]
    assert get(found, "score_least") == [0.9, 0.8, 0.8, 0.4]
    assert get(found, "score_mean")[:2] == [0.9, 0.88]  # 0.8 * 0.9 + 0.2 * 0.8
    assert get(found, "colors_since_start") == [1.0] * 4
    assert get(found, "contrast") == [1.0] * 4  # no gray pixel inside, no red one outside
    assert get(found, "age") == [0.0, *(round(float(np.log1p(n)), 4) for n in (1, 2, 3))]
    assert get(found, "detection_score") == [0.6] * 4


def test_a_jump_in_size_shape_and_place():
    masks, frames = drawn([[(10, 10, 20, 20), (10, 5, 20, 25), (10, 5, 20, 25)]], [RED])
    masks[2, 0, 13:17], frames[2, 13:17] = False, GRAY  # a gap of 4 rows: two parts of 8 rows
    found = measured(masks, frames)
    assert get(found, "iou_before") == [1.0, 0.5, 0.8]  # 100 of 200 px, 160 of 200 px
    assert get(found, "size_step") == [0.0, round(np.log(2), 4), round(np.log(1.25), 4)]
    assert get(found, "size_step_most") == [0.0, round(np.log(2), 4), round(np.log(2), 4)]
    assert get(found, "parts") == [1.0, 1.0, 2.0]
    assert get(found, "main_share") == [1.0, 1.0, 0.5]
    assert get(found, "extent") == [1.0, 1.0, 0.8]


def test_colors_show_that_a_mask_slid_onto_something_else():
    masks, frames = drawn([[(10, 10, 20, 20)] * 6], [RED])
    frames[5, 10:20, 10:20] = BLUE
    found = measured(masks, frames)
    assert get(found, "colors_before") == [1.0] * 5 + [0.0]
    assert get(found, "colors_since_start") == [1.0] * 5 + [0.0]
    frames[5] = BLUE  # now the same inside and outside
    found = measured(masks, frames)
    assert get(found, "contrast")[5] == 0.0
    assert get(found, "frame_change")[:5] == [0.0] * 5
    expected = np.mean([abs(128 - 10), abs(128 - 10), abs(250 - 128)]) * 0.958 + np.mean([240, 0, 240]) * 0.042
    assert get(found, "frame_change")[5] == pytest.approx(expected / 255, abs=0.01)


def test_others_cover_and_crowd():
    masks, frames = drawn([[(10, 10, 20, 20)], [(15, 10, 25, 20)], [(40, 30, 50, 40)]], [RED, BLUE, RED])
    found = measured(masks, frames)
    assert found[0, :, FEATURES.index("overlap")].tolist() == [0.5, 0.5, 0.0]
    assert found[0, :, FEATURES.index("crowding")].tolist() == [0.5, 0.5, 0.0]
    assert found[0, :, FEATURES.index("border")].tolist() == [0.0, 0.0, 1.0]


def test_absence_is_counted_and_has_no_features():
    found = measured(*drawn([[(10, 10, 20, 20), None, None, (30, 10, 40, 20), (30, 10, 40, 20)]], [RED]))
    assert np.isnan(found[1:3]).all()
    assert [get(found, "absent")[t] for t in (0, 3, 4)] == [0.0, 2.0, 0.0]
    assert [get(found, "returned")[t] for t in (0, 3, 4)] == [0.0, 1.0, 1.0]
    assert [get(found, "speed")[t] for t in (3, 4)] == [0.0, 0.0]  # what happened in between is not a speed


def test_time_runs_outwards_from_the_box():
    boxes = [(20, 10, 30, 30), (10, 10, 20, 20), (10, 10, 20, 20), (16, 10, 26, 20)]
    found = measured(*drawn([boxes], [RED]), starts={0: 2})
    assert get(found, "age") == [round(float(np.log1p(n)), 4) for n in (2, 1, 0, 1)]
    assert get(found, "iou_before") == [0.5, 1.0, 1.0, 1.0]
    assert get(found, "size_step_most") == [round(np.log(2), 4), 0.0, 0.0, 0.0]
    assert get(found, "speed")[1:] == [0.0, 0.0, 0.6]


def test_what_detection_saw_since():
    masks, frames = drawn([[(10, 10, 20, 20)] * 5, [(30, 10, 40, 20)] * 5], [RED, BLUE])
    found = measured(masks, frames, seen_on={0: [0, 4], 1: [0]}, searched=[0, 2, 4])
    assert get(found, "seen_again") == [1.0, 1.0, 0.0, 0.0, 1.0]
    assert get(found, "unseen_share", 1) == [0.0, 0.0, 0.5, 0.5, round(2 / 3, 4)]
    other = measured(masks, frames, seen_on={0: [0]}, searched=[0, 2, 4])
    assert np.isnan(other[:, 1, FEATURES.index("seen_again")]).all()  # a reviewer's object
    once = measured(masks, frames, searched=[0])
    assert np.isnan(once[..., FEATURES.index("seen_again")]).all()


def test_masks_that_met_on_the_way():
    found = measured(*drawn([[(10, 10, 20, 20)] * 3, [(30, 10, 40, 20)] * 3], [RED, BLUE]), agreement={1: {0: 0.25}})
    agreement = found[..., FEATURES.index("agreement")]
    assert agreement[0, 1] == 0.25
    assert np.isnan(agreement[:, 0]).all()
    assert np.isnan(agreement[1:, 1]).all()


@pytest.mark.parametrize("n_frames", [3, 5])
def test_other_frames_are_refused(n_frames):
    masks, _ = drawn([[(10, 10, 20, 20)] * 4], [RED])
    with pytest.raises(MediaError, match="4 frames"):
        measured(masks, np.zeros((n_frames, 40, 60, 3), np.uint8))


def test_no_objects():
    assert measured(np.zeros((3, 0, 40, 60), bool), np.zeros((3, 40, 60, 3), np.uint8)).shape == (3, 0, len(FEATURES))
