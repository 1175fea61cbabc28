"""Drawn tracks whose story is known, and the text expected word for word."""

import numpy as np
import pytest

from mvideo_core.perception.captioning.base import CaptionInput, in_order
from mvideo_core.perception.captioning.clean import Cleaned, clean_answer
from mvideo_core.perception.captioning.motion import MotionCaptioner, MotionOptions
from mvideo_core.perception.captioning.tracks import track_facts

W, H, FPS = 400, 300, 8  # diagonal exactly 500 px
NAN = np.full(4, np.nan, np.float32)


def box(x, y, size=40):
    return np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2], np.float32)


def clip(**tracks):
    """A clip of named tracks; "dog_2" is a second dog; None is a frame out of sight."""
    labels = tuple(name.split("_")[0] for name in tracks)
    boxes = np.array([[NAN if place is None else place for place in track] for track in tracks.values()])
    boxes = boxes if tracks else np.zeros((0, 0, 4), np.float32)
    areas = np.nan_to_num((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))
    return CaptionInput(key="c", width=W, height=H, fps=FPS, labels=labels, boxes_NT4=boxes, areas_NT=areas)


def told(one, **options):
    text = in_order(MotionCaptioner.load(MotionOptions(**options)), [one])[0].text
    assert clean_answer(text) == Cleaned(text)  # rules for models leave texts made by rule alone
    return text


def test_facts_of_a_straight_path_are_the_hand_computed_ones():
    one = clip(dog=[box(100 + 10 * t, 150) for t in range(21)])  # 200 px to the right in 20/8 = 2.5 s
    facts = track_facts("dog", one.boxes_NT4[0], one.areas_NT[0], W, H, FPS)
    # ends are medians of two frames: 105 and 295, so 190 px of 500 are 0.38; 200 px turning path in 2.5 s: 0.16 per s
    assert facts.moved_xy_px == (190.0, 0.0)
    assert facts.net_frac == pytest.approx(0.38)
    assert facts.extent_frac == pytest.approx(0.40)
    assert facts.speed_frac_per_s == pytest.approx(200 / 500 / 2.5)
    assert (facts.main_axis, facts.first_way, facts.turns, facts.gaps) == (0, 1, 0, 0)
    assert facts.start_xy == (105 / 400, 0.5)
    assert (facts.enters_s, facts.leaves_s, facts.growth, facts.pose_change) == (None, None, 1.0, 0.0)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ((10, 0), "to the right"), ((-10, 0), "to the left"), ((0, 10), "downwards"), ((0, -10), "upwards"),
        ((8, 8), "down to the right"), ((-8, 8), "down to the left"), ((-8, -8), "up to the left"),
        ((8, -8), "up to the right"),
    ],
)  # fmt: skip
def test_eight_directions(step, words):
    path = [box(200 + step[0] * (t - 8), 150 + step[1] * (t - 8)) for t in range(17)]
    assert f"moves {words}" in told(clip(dog=path))


def test_still_object_stays_and_jitter_is_no_movement():
    jitter = [box(60 + (t % 2) * 10, 50) for t in range(17)]  # 10 px of 500 is below 5 %
    assert told(clip(clock=jitter)) == "A clock is in view. The clock stays in the upper left."


def test_speed_words_have_the_stated_limits():
    slow = [box(180 + 40 * t / 16, 150) for t in range(17)]  # 40 px in 2 s: 0.04 diagonals per second
    quick = [box(60 + 280 * t / 16, 150) for t in range(17)]  # 280 px in 2 s: 0.28
    assert "moves slowly to the right" in told(clip(dog=slow))
    assert "moves quickly to the right" in told(clip(dog=quick))
    assert "moves to the right" in told(clip(dog=quick), fast_frac_per_s=0.3)


def test_growth_is_an_approach():
    closer = [box(200, 150, 60 + 4 * t) for t in range(17)]
    farther = closer[::-1]
    assert told(clip(person=closer)).endswith("The person stays in the centre, coming closer to the camera.")
    assert told(clip(person=farther)).endswith("The person stays in the centre, getting farther from the camera.")


def test_turning_round_once_and_often():
    there_and_back = [box(100 + 12 * min(t, 16 - t), 150) for t in range(17)]  # 96 px and back in 2 s: 0.19 per s
    bounce = [box(200, 150 + 60 * (t % 8 - 4) / 4 * (1 if (t // 8) % 2 == 0 else -1)) for t in range(48)]
    assert "moves to the right and then back to the left" in told(clip(dog=there_and_back))
    assert "up and down" in told(clip(dog=bounce))


def test_entering_leaving_and_order():
    enters = [None] * 8 + [box(380 - 20 * t, 150) for t in range(9)]
    leaves = [box(max(20, 200 - 20 * t), 60) for t in range(11)] + [None] * 6
    assert told(clip(dog=enters, person=leaves)) == (
        "A person is in view. "
        "The person starts at the top and moves quickly to the left, then leaves by the left after about one second. "
        "After about one second a dog enters from the right and moves quickly to the left."
    )


def test_out_of_sight_and_back():
    path = [None if 5 <= t < 10 else box(100 + 10 * t, 150) for t in range(17)]  # away for 5/8 s
    assert "going out of sight on the way and coming back" in told(clip(dog=path))
    short = [None if t == 5 else box(100 + 10 * t, 150) for t in range(17)]
    assert "out of sight" not in told(clip(dog=short))


def test_same_names_are_counted_and_numbered():
    still = {"dog": [box(300, 150, 60)] * 9, "dog_2": [box(60, 150)] * 9, "umbrella": [box(200, 150, 20)] * 9}
    assert told(clip(**still)) == (
        "Two dogs and an umbrella are in view. The first dog stays on the right. The second dog stays on the left. "
        "The umbrella stays in the centre."
    )
    assert (
        told(clip(**still), max_objects=1) == "Two dogs and an umbrella are in view. The first dog stays on the right."
    )


def test_two_that_meet_and_two_that_part():
    left, right = [box(40 + 8 * t, 150) for t in range(17)], [box(360 - 8 * t, 150, 30) for t in range(17)]
    assert told(clip(dog=left, person=right)).endswith("They come together.")
    assert told(clip(dog=left[::-1], person=right[::-1])).endswith("They move apart.")


def test_changing_outline_is_pose_for_the_living_and_shape_for_things():
    def flap(t):
        half = 20 if t % 2 else 40
        return np.array([200 - half, 110, 200 + half, 190], np.float32)

    track = [flap(t) for t in range(16)]  # aspect 0.5 and 1: mean 0.75, deviation 0.25, relative 1/3
    one = clip(person=track)
    assert track_facts("person", one.boxes_NT4[0], one.areas_NT[0], W, H, FPS).pose_change == pytest.approx(1 / 3)
    assert "changing pose" in told(one)
    assert "changing shape" in told(clip(umbrella=track))


def test_empty_clips_and_unseen_objects_have_a_text():
    assert told(clip()) == "A scene without tracked objects."
    assert told(clip(dog=[None, None])) == "A scene without tracked objects."


def test_title_only_when_asked():
    one = CaptionInput(key="c", width=W, height=H, fps=FPS, title="a walk in town.")
    assert told(one) == "A scene without tracked objects."
    assert told(one, use_title=True) == "A walk in town. A scene without tracked objects."


def test_a_batch_is_told_as_its_items_are():
    clips = [clip(dog=[box(100 + 10 * t, 150) for t in range(9)]), clip(), clip(person=[box(200, 150)] * 3)]
    captioner = MotionCaptioner.tiny()
    assert in_order(captioner, clips) == [in_order(captioner, [one])[0] for one in clips]
