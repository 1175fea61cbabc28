"""The standard edits of two squares: what each asks for, and what a clip has no use for."""

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.evaluation.control.edits import EDITS, choose_object, make_edits
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.masks.measure import areas, boxes_xyxy
from tests.mvideo_core.evaluation.control.drawn import N_FRAMES, squares

TIMES = np.arange(N_FRAMES)
MOVING = MaskClip(squares(10 + TIMES, 60), 8.0, ("dog", "cat"))
"""A square that goes right by 1 px a frame, and a smaller one that stays."""

STILL = (
    "it would move or resize each object by at most 0.00 of its size where no other object covers it; "
    "0.2 or more wanted"
)


def test_every_edit_of_a_clip_with_room_for_all():
    made, left_out = make_edits(MOVING)
    assert (tuple(one.edit for one in made), left_out) == (EDITS, {})
    masks = {one.edit: one.masks.sequence for one in made}
    assert all(one.shape == MOVING.sequence.shape for one in masks.values())
    left = {name: boxes_xyxy(one)[:, 0, :2].tolist() for name, one in masks.items()}
    own = boxes_xyxy(MOVING.sequence)[:, 0, :2].tolist()
    # Most room: 40 of 60 px below. A shift by 20 % of the height, 12 px, complete at 60 % of the clip.
    assert (left["shift"][0], left["shift"][-1]) == (own[0], [own[-1][0], own[-1][1] + 12])
    # 1.5 times 10 px from 7.5 to 22.5: pixels that are half covered count, so 16 px, without the corners.
    assert areas(masks["scale"])[[0, -1], 0].tolist() == [100, 16 * 16 - 4]
    assert left["delay"][4:] == own[: N_FRAMES - 4]  # half a second
    assert left["delay"][:4] == own[:1] * 4
    assert left["freeze"] == own[:5] + own[4:5] * 12  # from a quarter of 16 frames on
    assert (boxes_xyxy(masks["swap"])[0, 0] - (58, 38, 68, 48)).any() == 0
    assert areas(masks["drop"]).tolist() == [[0, 36]] * N_FRAMES
    for name in ("shift", "scale", "delay", "freeze"):  # the small square is left alone
        assert masks[name].select([1]) == MOVING.sequence.select([1])


def test_what_a_clip_has_no_use_for_is_left_out_with_its_reason():
    alone = MaskClip(squares().select([0]), 8.0, ("",))
    made, left_out = make_edits(alone)
    assert [one.edit for one in made] == ["shift", "scale"]
    assert left_out == {
        "delay": STILL,
        "freeze": STILL,
        "swap": "it needs two objects in the first frame",
        "drop": "it needs two objects in the first frame: without any mask nothing guides the video",
    }
    short = MaskClip(MOVING.sequence, 64.0, ("", ""))
    assert "no longer than the delay" in make_edits(short, ("delay",))[1]["delay"]


def test_names_and_masks_that_cannot_be_used():
    with pytest.raises(ConfigError, match="edit 'shove': known are shift, scale"):
        make_edits(MOVING, ("shift", "shove"))
    with pytest.raises(ConfigError, match="no edit given"):
        make_edits(MOVING, ())
    late = MaskClip(squares(np.where(TIMES > 2, 10, -1), np.where(TIMES > 2, 60, -1)), 8.0, ("", ""))
    with pytest.raises(ConfigError, match="no object has a mask in the first frame"):
        make_edits(late)


def test_the_object_seen_longest_is_edited():
    assert choose_object(MOVING) == 0
    assert choose_object(MaskClip(squares(np.where(TIMES < 9, 10, -1)), 8.0, ("", ""))) == 1


def test_an_edit_under_which_objects_cover_each_other_is_left_out():
    """Frozen at a quarter of the clip, the squares overlap from then on: nothing moves in the frames before."""
    crossing = MaskClip(squares(10 + 3 * TIMES, 25, 10, 12), 8.0, ("", ""))
    made, left_out = make_edits(crossing, ("freeze", "shift"))
    assert [one.edit for one in made] == ["shift"]
    assert "at most 0.00 of its size where no other object covers it" in left_out["freeze"]
    # The small square covers the large one in the first 10 of 17 frames.
    behind = MaskClip(squares(10, np.where(TIMES < 10, 12, 60), 10, 12), 8.0, ("", ""))
    assert make_edits(behind, ("shift", "scale"))[1] == dict.fromkeys(
        ("shift", "scale"), "others cover an edited object too long"
    )
