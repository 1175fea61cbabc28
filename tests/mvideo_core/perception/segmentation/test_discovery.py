"""Objects of a whole clip: what is new, what is one, what is hidden and what is gone."""

import numpy as np
import pytest

from mvideo_core.masks import encode
from mvideo_core.masks.io.clip import edges_of
from mvideo_core.masks.measure import pixel_iou
from mvideo_core.miniworld.world import render_shot
from mvideo_core.perception.detection.base import Detections
from mvideo_core.perception.segmentation.discovery import (
    Absence,
    Found,
    Sight,
    absences,
    color_histogram,
    compare,
    confirm,
    discover,
    drop_other_colors,
    join,
)
from mvideo_core.perception.segmentation.sam2_video import Sam2Options, Sam2Segmenter
from mvideo_core.perception.segmentation.two_way import Masklet, Spool
from tests.mvideo_core.perception.segmentation.walkers import ENTERS_LATE, LEAVES_AND_RETURNS, walkers

HEIGHT, WIDTH = 60, 80


def block(x, y=20, side=12):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + side, max(x, 0) : max(x + side, 0)] = True
    return mask


def box(x, y=20, side=12):
    return [x, y, x + side, y + side]


def test_boxes_are_compared_with_masks():
    speckled = block(10)
    speckled[55, 70] = True
    masks = np.stack([speckled, block(40, side=30)])
    boxes = np.array(
        [box(60, 2), box(11), box(12), box(44, 24, 10)],  # new; on the first; again; a part of the second
        np.float32,
    )
    assert compare(boxes, masks) == ([(1, 0)], [0])
    assert compare(boxes[:1], masks[:0]) == ([], [0])
    assert compare(np.zeros((0, 4), np.float32), masks) == ([], [])


def found(start, places, label="dog", seen_on=None, color=0):
    """An object whose mask is a block at x by frame, of one color cell."""
    colors = {t: np.eye(64)[color] for t in places}
    masklet = Masklet(start, {t: edges_of(block(x)) for t, x in places.items()}, notes=colors)
    return Found(masklet, [Sight(t, label, 0.9) for t in (seen_on or [start])])


def spans(one):
    return sorted(one.masklet.edges)


def test_an_object_lost_and_found_again_is_one():
    # Lost at frame 4; found at 8, and the way back meets the old masks on frames 2 and 3.
    old, new = found(0, {t: t for t in range(4)}), found(8, {t: t for t in (2, 3, 8, 9)})
    [one] = join([old, new], 10)
    assert spans(one) == [0, 1, 2, 3, 8, 9]
    assert one.masklet.start == 0
    assert one.agreement == {2: 1.0, 3: 1.0}


def test_of_two_masks_of_one_object_the_one_in_its_colors_counts():
    # The old masklet covers more than its object on frames 10 to 19; the new one is right, also before its start.
    old = found(0, {t: t if t < 10 else 50 for t in range(20)}, seen_on=[0])
    half = (np.eye(64)[0] + np.eye(64)[5]) / 2
    old.masklet.notes.update(dict.fromkeys(range(10, 20), half))
    new = found(16, {t: t for t in (7, 8, 9, 15, 16, 17, 19)}, seen_on=[16])
    [one] = join([old, new], 20)
    assert spans(one) == list(range(20))
    wrong = [t for t in range(20) if not np.array_equal(one.masklet.at(t), edges_of(block(t)))]
    assert wrong == [10, 11, 12, 13, 14, 18]
    assert one.agreement == dict.fromkeys((7, 8, 9), 1.0) | dict.fromkeys((15, 16, 17, 19), 0.0)
    assert one.seen_on == {0, 16}


def test_objects_seen_side_by_side_are_two_whatever_their_masks_say():
    # The second emerges from behind the first, so the way back ends on the first one's masks: they are given back.
    old = found(0, dict.fromkeys(range(10), 10), seen_on=[0, 8])
    new = found(8, dict.fromkeys(range(8), 10))
    new.masklet.edges.update({8: edges_of(block(30)), 9: edges_of(block(32))})
    first, second = join([old, new], 10)
    assert (spans(first), spans(second)) == (list(range(10)), [8, 9])


@pytest.mark.parametrize(
    ("label", "color", "places", "n"),
    [
        ("dog", 0, {8: 60, 9: 61}, 1),
        ("dog", 5, {8: 60, 9: 61}, 2),  # another color
        ("cat", 0, {8: 60, 9: 61}, 2),  # another class
        ("dog", 0, {2: 60, 3: 60, 8: 60, 9: 61}, 2),  # elsewhere at the same time
    ],
)
def test_a_return_is_known_by_class_and_colors(label, color, places, n):
    assert len(join([found(0, {t: t for t in range(5)}), found(8, places, label, color=color)], 10)) == n


def test_of_two_masks_in_its_colors_the_better_one_counts():
    old, new = found(0, dict.fromkeys(range(6), 10)), found(3, dict.fromkeys(range(6), 12))
    old.masklet.scores.update(dict.fromkeys(range(6), 0.8))
    new.masklet.scores.update({0: 0.7, 1: 0.9, 2: 0.8, 3: 0.8, 4: 0.7, 5: 0.9})
    [one] = join([old, new], 6)
    places = [10, 12, 10, 12, 10, 12]  # of equal scores the later masklet's, from its start on
    assert all(np.array_equal(one.masklet.at(t), edges_of(block(x))) for t, x in enumerate(places))
    assert [one.masklet.scores[t] for t in range(6)] == [0.8, 0.9, 0.8, 0.8, 0.8, 0.9]


def scored(score, x, seen_on, frames=range(10)):
    one = found(0, dict.fromkeys(frames, x), seen_on=seen_on)
    one.masklet.scores.update(dict.fromkeys(frames, score))
    return one


def test_an_object_that_the_detector_mostly_misses_stays_if_its_masks_are_good_and_its_own():
    searched = dict.fromkeys(range(0, 10, 2))
    often = scored(0.3, 10, [0, 4])  # 2 of 5: beyond doubt
    alone = scored(0.7, 60, [2])
    bad = scored(0.5, 40, [2])
    inside, better = scored(0.8, 12, [2]), scored(0.9, 62, [4])  # 10 of 12 columns are the first's, or the second's
    never = found(0, {}, seen_on=[0, 2, 4])
    assert confirm([often, alone, bad, inside, never], searched) == [often, alone]
    assert confirm([often, alone, better], searched) == [often, better]
    beside = scored(0.8, 17, [2])  # 5 of 12 columns
    assert confirm([often, beside], searched) == [often, beside]
    leaves = scored(0.8, 12, [2], frames=range(4))
    leaves.masklet.edges.update({t: edges_of(block(40)) for t in range(4, 10)})
    leaves.masklet.scores.update(dict.fromkeys(range(4, 10), 0.8))
    assert confirm([often, leaves], searched) == [often, leaves]  # in one place on 4 of 10 frames


def test_masks_in_other_colors_are_on_something_else():
    one = found(0, {t: t for t in (0, 1, 2, 3, 4, 5, 8, 9)})
    drop_other_colors(one)
    assert spans(one) == [0, 1, 2, 3, 4, 5, 8, 9]
    # Its colors are the mean of the first 8 masks: 6 / 8 in cell 0, 2 / 8 in cell 5.
    one.masklet.notes.update({t: np.eye(64)[5] for t in (8, 9)})
    drop_other_colors(one)
    assert spans(one) == [0, 1, 2, 3, 4, 5]


def test_color_histogram():
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[:, :40] = (0, 64, 255)  # cells 0, 1, 3: 0 * 16 + 1 * 4 + 3 = 7
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:10, 30:50] = True
    assert {cell: value for cell, value in enumerate(color_histogram(frame, mask).tolist()) if value} == {
        0: 0.5,
        7: 0.5,
    }


def test_hidden_is_not_gone():
    # A block at the left border leaves and comes back; one in the middle vanishes and reappears.
    pixels = np.zeros((10, 2, HEIGHT, WIDTH), bool)
    for t in range(10):
        if t not in (3, 4, 5, 9):
            pixels[t, 0] = block(0)
        if t not in (0, 6, 7):
            pixels[t, 1] = block(30)
    sequence = encode(pixels)
    assert absences(sequence, 0) == [Absence(3, 6, True), Absence(9, 10, True)]
    assert absences(sequence, 1) == [Absence(0, 1, False), Absence(6, 8, False)]


N_FRAMES, FPS = 48, 8


@pytest.fixture(scope="module")
def drawn():
    """6 s at 8 frames/s: one person walks out at the right edge and comes back, another enters from the left late."""
    spec = walkers([LEAVES_AND_RETURNS, ENTERS_LATE], N_FRAMES / FPS)
    return list(render_shot(spec, N_FRAMES, 288, 192, fps=FPS))


def true_boxes(frame):
    """What a faultless detector sees: everyone of whom at least a third is in the picture."""
    there = [n for n in range(2) if frame.visible[n].sum() > 1000]
    boxes = np.array(frame.boxes(), np.float32)[there].reshape(-1, 4)
    return Detections(boxes, np.full(len(there), 0.9, np.float32), ["person"] * len(there))


def discovered(frames, searched):
    segmenter = Sam2Segmenter.load(Sam2Options(weights="mini"))
    with Spool(192, 288) as spool:
        sightings = {number: true_boxes(frames[number]) for number in searched}
        return discover(segmenter, (frame.rgb for frame in frames), spool, 192, 288, sightings)


def j_of(found, frames, obj, numbers):
    return np.mean([pixel_iou(found.sequence.mask(n, obj), frames[n].visible[obj]) for n in numbers])


@pytest.mark.slow
def test_late_and_returning_people_of_the_drawn_world(drawn):
    found = discovered(drawn, range(0, N_FRAMES, 8))
    assert [one.label for one in found.objects] == ["person"] * 2
    assert [one.masklet.start for one in found.objects] == [0, 24]
    assert found.sequence.shape[:2] == found.scores_TN.shape == (N_FRAMES, 2)
    # The first is away from frame 16 to 29, the second comes in from frame 18 on and is found at 24: the way back
    # covers frames 21 to 23, too.
    assert j_of(found, drawn, 0, [*range(12), *range(36, N_FRAMES)]) > 0.6
    assert j_of(found, drawn, 1, range(21, N_FRAMES)) > 0.6
    visible = np.array([[frame.visible[n].any() for n in range(2)] for frame in drawn])
    for obj, one in enumerate(found.objects):
        assert one.seen_on == {n for n in range(0, N_FRAMES, 8) if drawn[n].visible[obj].sum() > 1000}
        away = [absence for absence in absences(found.sequence, obj) if absence.end - absence.start > 2]
        assert [absence.gone for absence in away] == [True]
        wrong = [n for n in range(away[0].start, away[0].end) if visible[n, obj]]
        assert len(wrong) <= 4


def test_the_first_frame_alone_finds_only_who_is_there(drawn):
    found = discovered(drawn[:8], [0])
    assert (found.sequence.n_objects, found.objects[0].seen_on) == (1, {0})
