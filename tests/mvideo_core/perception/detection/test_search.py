"""Which frames of a stream are searched."""

import numpy as np
import pytest

from mvideo_core.perception.detection.base import Detections
from mvideo_core.perception.detection.options import DetectOptions
from mvideo_core.perception.detection.search import FrameChoice, search

GRAY = np.full((64, 96, 3), 90, np.uint8)


def still_then_changed(n_frames=40, change_at=13):
    """A gray picture in which a quarter of the width turns bright."""
    bright = GRAY.copy()
    bright[:, :24] = 200
    return [bright if number >= change_at else GRAY for number in range(n_frames)]


class Seeing:
    """Records what it is asked for; finds an object as sure as its frame is bright."""

    def __init__(self):
        self.asked, self.levels = [], []

    def detect(self, frames, phrases):
        self.asked.append(list(phrases))
        self.levels += [[int(frame[0, 0, 0]) for frame in frames]]
        scores = [np.full(1, frame[0, 0, 0] / 255, np.float32) for frame in frames]
        return [Detections(np.zeros((1, 4), np.float32), score, ["red"]) for score in scores]


def searched(options, frames):
    found = search(frames, options.choice(fps=8), Seeing(), ["red"])
    return [one.number for one in found if one.seen is not None]


def test_first_frame_only():
    assert searched(DetectOptions(), still_then_changed()) == [0]


def test_keyframes_are_a_step_apart():
    assert searched(DetectOptions(when="keyframes", step_s=1.5), still_then_changed()) == [0, 12, 24, 36]


def test_adaptive_waits_for_a_change_but_not_for_ever():
    # Every 0.5 s is looked at; the change at 13 is noticed at 16; after that nothing changes for 2 s = 16 frames.
    options = DetectOptions(when="adaptive", step_s=0.5, max_step_s=2.0, min_change=0.2)
    assert searched(options, still_then_changed()) == [0, 16, 32]
    assert searched(options, [GRAY] * 40) == [0, 16, 32]
    # 24 of 96 columns are a quarter: below a limit of 0.3, only the longest wait counts.
    patient = DetectOptions(when="adaptive", step_s=0.5, max_step_s=3.0, min_change=0.3)
    assert searched(patient, still_then_changed()) == [0, 24]
    eager = DetectOptions(when="adaptive", step_s=0.5, max_step_s=3.0, min_change=0.2)
    assert searched(eager, still_then_changed()) == [0, 16]


def test_names_may_be_dropped_on_the_way():
    detector, names = Seeing(), ["red", "blue"]
    for number, _, _ in search([GRAY] * 3, FrameChoice("keyframes", 1), detector, names):
        if number == 0:
            names.remove("red")
    assert detector.asked == [["red", "blue"], ["blue"], ["blue"]]


def test_frames_of_a_pass_are_seen_together_and_come_in_order():
    frames, detector = [np.full((4, 4, 3), level, np.uint8) for level in range(20)], Seeing()
    found = list(search(iter(frames), FrameChoice("keyframes", 4), detector, ["red"], per_pass=2))
    assert detector.levels == [[0, 4], [8, 12], [16]]
    assert [one.number for one in found] == list(range(20)) == [int(one.frame[0, 0, 0]) for one in found]
    seen = {one.number: float(one.seen.scores[0]) for one in found if one.seen is not None}
    assert seen == pytest.approx({number: number / 255 for number in (0, 4, 8, 12, 16)})


def test_one_frame_a_pass_reads_no_frame_ahead():
    taken = []
    frames = search((taken.append(n) or GRAY for n in range(9)), FrameChoice("keyframes", 4), Seeing(), ["red"])
    for number in range(9):
        next(frames)
        assert len(taken) == number + 1


@pytest.mark.parametrize("when", ["keyframes", "adaptive"])
def test_options_that_do_not_matter_stay_out_of_the_key(when):
    # Before the option existed the default had these fields and no others.
    old = {"detector", "detector_options", "classes", "box_threshold", "nms_iou", "max_objects"}
    assert DetectOptions().content().keys() == old | {"min_area_frac", "max_area_frac"}
    assert DetectOptions(step_s=2.0).content() == DetectOptions().content()
    one, other = DetectOptions(when=when), DetectOptions(when=when, step_s=2.0)
    assert one.content() != other.content()
    longer = DetectOptions(when=when, max_step_s=6.0)
    assert (one.content() == longer.content()) == (when == "keyframes")
