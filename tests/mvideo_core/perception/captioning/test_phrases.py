"""Squares on a drawn plane under a camera: their color, place and movement are known."""

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.codec import encode
from mvideo_core.masks.measure import areas, boxes_xyxy
from mvideo_core.perception.captioning.base import CaptionInput
from mvideo_core.perception.captioning.motion import MotionCaptioner
from mvideo_core.perception.captioning.phrases import _center, measure_phrases
from tests.mvideo_core.media.test_camera import plane, view

W, H = 384, 256
BACKGROUND = plane()


def clip(*squares, camera=lambda t: (100, 100, 1.0), n_frames=16, label="dog"):
    """A clip of squares: each a color and a function frame -> (x, y, side) in the picture, or None."""
    frames, masks = [], np.zeros((n_frames, len(squares), H, W), bool)
    for t in range(n_frames):
        frame = view(BACKGROUND, *camera(t)) // 2 + 60
        for n, (color, where) in enumerate(squares):
            if (place := where(t)) is not None:
                x, y, side = (round(value) for value in place)
                masks[t, n, max(0, y) : y + side, max(0, x) : x + side] = True
                frame[masks[t, n]] = color
        frames.append(frame)
    code = encode(masks)
    boxes = boxes_xyxy(code).astype(np.float32).transpose(1, 0, 2).copy()
    sizes = areas(code).T.astype(np.float32)
    boxes[sizes == 0] = np.nan
    return CaptionInput(
        "c", W, H, 8.0, np.stack(frames), (label,) * len(squares), boxes, sizes,
        object_ids=tuple(range(5, 5 + len(squares))), masks=code,
    )  # fmt: skip


def words(*squares, **given):
    return [(one.color, one.action, one.place) for one in measure_phrases(clip(*squares, **given))]


def test_color_way_and_place_are_the_drawn_ones_and_bound_to_the_object_ids():
    red = (200, 30, 30), lambda t: (40 + 12 * t, 100, 40)
    blue = (30, 60, 200), lambda _: (20, 200, 40)
    first, second = measure_phrases(clip(red, blue))
    assert (first.object_id, first.color, first.action, first.place) == (5, "red", "moves to the right", "center")
    assert first.phrase == "a red dog in the center that moves to the right"
    assert (second.object_id, second.phrase) == (6, "a blue dog at the bottom left that stays in place")
    assert first.reason == second.reason == ""


@pytest.mark.parametrize(
    ("center", "place"),
    [((40, 40), "top left"), ((192, 40), "top"), ((340, 128), "right"), ((192, 220), "bottom"), ((192, 128), "center")],
)
def test_nine_places(center, place):
    assert words(((0, 150, 0), lambda _: (center[0] - 15, center[1] - 15, 30)))[0][2] == place


def test_a_large_object_is_in_the_foreground():
    (one,) = measure_phrases(clip(((240, 240, 240), lambda _: (20, 60, 180)), label="bus"))
    assert one.place == "left, foreground"
    assert one.phrase == "a white bus in the foreground on the left that stays in place"


def test_a_pan_over_a_still_thing_is_no_movement_of_the_thing():
    pan = lambda t: (60 + 8 * t, 100, 1.0)  # noqa: E731
    still = (200, 30, 30), lambda t: (250 - 8 * t, 100, 40)
    followed = (30, 60, 200), lambda _: (60, 180, 40)
    assert [one[1] for one in words(still, followed, camera=pan)] == ["stays in place", "moves to the right"]


def test_a_zoom_is_no_approach_but_growth_is():
    zoom = lambda t: (100, 100, 1.02**t)  # noqa: E731
    of_the_scene = (200, 30, 30), lambda t: (100 * 1.02**t, 60 * 1.02**t, 50 * 1.02**t)
    assert words(of_the_scene, camera=zoom)[0][1] == "stays in place"
    near = (200, 30, 30), lambda t: (150 - 2 * t, 100 - 2 * t, 40 + 4 * t)
    far = (30, 60, 200), lambda t: (10 + t, 60 + t, 80 - 3 * t)
    assert [one[1] for one in words(near, far)] == ["comes closer", "moves away"]


def test_a_person_wears_the_color_and_an_unseen_object_has_a_reason():
    seen = (30, 60, 200), lambda t: (40, 100, 40) if t > 3 else None
    never = (0, 0, 0), lambda _: None
    first, second = measure_phrases(clip(seen, never, label="person"))
    assert first.phrase == "a person in blue on the left who stays in place"
    assert (second.phrase, second.color, second.reason, second.object_id) == ("", "", "out_of_sight", 6)


def test_frames_that_do_not_fit_the_masks_fail_the_clip():
    one = clip(((200, 30, 30), lambda _: (40, 100, 40)))
    for frames in (one.frames_THWC[:5], np.concatenate([one.frames_THWC] * 2), one.frames_THWC[:, :100]):
        bad = CaptionInput("c", W, H, 8.0, frames, one.labels, one.boxes_NT4, one.areas_NT, object_ids=(0,),
                           masks=one.masks)  # fmt: skip
        ((_, outcome, phrases),) = MotionCaptioner.tiny().caption_objects([bad])
        assert isinstance(outcome, MediaError)
        assert "the frames do not fit the 16 masks" in str(outcome)
        assert phrases == []


def test_stray_pixels_and_hidden_parts_do_not_make_a_still_thing_move():
    one = clip(((200, 30, 30), lambda _: (100, 100, 60)), n_frames=48)
    pixels = one.masks.pixels()
    pixels[20:30, 0, 30:34, 360:370] = True  # a stray blob far away, for more than a second
    pixels[34:40, 0, :, :140] = False  # something in front of its left part
    masks = encode(pixels)
    boxes = boxes_xyxy(masks).astype(np.float32).transpose(1, 0, 2)
    given = CaptionInput(
        "c", W, H, 8.0, one.frames_THWC, one.labels, boxes, areas(masks).T, object_ids=(5,), masks=masks
    )
    assert measure_phrases(given)[0].action == "stays in place"


def test_the_center_is_the_median_pixel():
    mask = np.zeros((20, 30), bool)
    mask[4, 7] = True
    assert _center(mask) == (7.5, 4.5)
    mask[4, 8] = True
    assert _center(mask) == (8.0, 4.5)
    mask[19, 29] = True
    assert _center(mask) == (8.5, 4.5)
