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
    """Records what it is asked for; finds nothing."""

    def __init__(self):
        self.asked = []

    def detect(self, frames, phrases):
        self.asked.append(list(phrases))
        return [Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), [])]


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
