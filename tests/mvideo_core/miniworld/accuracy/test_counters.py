"""Each counter on small cases whose answer is known."""

import numpy as np
import pytest

from mvideo_core.base.records import ClipRow
from mvideo_core.masks.boundary import boundary_f, edge_map
from mvideo_core.miniworld.accuracy.boxes import match_by_score
from mvideo_core.miniworld.accuracy.captions import action_words, mentions, sentences_about
from mvideo_core.miniworld.accuracy.cuts import CutCounter, boundaries_of
from mvideo_core.miniworld.accuracy.figures import Return, Score
from mvideo_core.miniworld.accuracy.identity import find_absence, frames_to_show, to_show
from mvideo_core.miniworld.accuracy.mapping import Track
from mvideo_core.miniworld.accuracy.masklets import occlusion_of, size_of
from mvideo_core.miniworld.world.truth import TruthCut
from mvideo_core.perception.detection.select import iou_matrix


def test_score_rates():
    score = Score.of(hits=6, misses=2, false_alarms=4)
    assert (score.precision, score.recall, score.f1) == (0.6, 0.75, pytest.approx(2 / 3))
    assert Score.of(0, 0, 0).f1 is None  # nothing wanted, nothing found: no number


def cut(kind, start, end):
    return TruthCut(kind=kind, time_s=(start + end) / 2, start_s=start, end_s=end)


def test_cuts_match_once_within_the_span_plus_tolerance():
    counter = CutCounter(0.25)
    true = [cut("hard", 10, 10), cut("dissolve", 20, 21), cut("fade", 30, 31)]
    # 10.2 hits; 21.2 hits the dissolve, 20.1 is a second answer to it; 31.3 is too late for the fade; 45 is nothing
    counter.add([10.2, 20.1, 21.2, 31.3, 45.0], true)
    figures = counter.figures()
    assert (figures.all.hits, figures.all.misses, figures.all.false_alarms) == (2, 1, 3)
    assert figures.by_kind["dissolve"].false_alarms == 1
    assert figures.by_kind["fade"].false_alarms == 1
    assert figures.by_kind["fade"].recall == 0
    assert figures.by_kind["hard"].false_alarms == 1


def test_boundaries_are_read_back_from_rows():
    rows = [
        ClipRow(key="a", parent="v", shot_index=0, start_s=0.0, end_s=12.125),
        ClipRow(key="b", parent="v", shot_index=1, start_s=12.75, end_s=24.0),
        ClipRow(key="c", parent="v", shot_index=1, start_s=24.0, end_s=33.0),
        ClipRow.filter_row("d", "v", "shot_too_short", 4.0, 8.0, shot_index=2, start_s=33.4, end_s=37.4),
        ClipRow.failure_row("e", "v", "MediaError", "x", 1, shot_index=3, start_s=40.0),
    ]
    # 12.75 - 0.25 trim - half a clip frame (0.0625); the dropped shot tells its own start
    assert boundaries_of(rows, trim_s=0.25, clip_fps=8.0) == pytest.approx([12.4375, 33.4])


def test_box_matching_goes_by_score_and_takes_each_object_once():
    true = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], float)
    found = np.array([[0, 0, 10, 8], [0, 0, 10, 10], [20, 4, 30, 14]], float)
    overlap = iou_matrix(found, true)
    assert overlap[0, 0] == pytest.approx(0.8)
    assert overlap[2, 1] == pytest.approx(60 / 140)
    assert match_by_score(found, [0.9, 0.8, 0.7], true, 0.5) == [(0, 0)]
    assert match_by_score(found, [0.8, 0.9, 0.7], true, 0.4) == [(1, 0), (2, 1)]


def test_edge_map_marks_one_pixel():
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    assert np.argwhere(edge_map(mask)).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_boundary_f_forgives_up_to_its_reach():
    def square(x):
        mask = np.zeros((480, 720), bool)
        mask[100:200, x : x + 100] = True
        return mask

    # diagonal 865.3 px * 0.008 = 6.92 -> reach 7
    assert boundary_f(square(100), square(100)) == 1.0
    assert boundary_f(square(107), square(100)) == 1.0
    # 50 px apart each boundary has 400 pixels (edge map of a 100 x 100 square); near the other's lie 50 + 7 of the top
    # and of the bottom side, and 8 pixels at either end of the one upright side inside: 2 * 57 + 2 * 8 = 130
    assert boundary_f(square(150), square(100)) == pytest.approx(130 / 400)
    assert boundary_f(square(400), square(100)) == 0.0
    empty = np.zeros((480, 720), bool)
    assert boundary_f(empty, empty) == 1.0
    assert boundary_f(empty, square(1)) == 0.0


def test_boundary_f_agrees_with_a_brute_force_count():
    rng = np.random.default_rng(0)
    import cv2

    for _ in range(5):
        a, b = (cv2.GaussianBlur(rng.random((60, 90)), (0, 0), 4) > 0.5 for _ in range(2))
        ea, eb = np.argwhere(edge_map(a)), np.argwhere(edge_map(b))
        distance = np.sqrt(((ea[:, None] - eb[None]) ** 2).sum(axis=2))
        p, r = (distance.min(axis=1) <= 1).mean(), (distance.min(axis=0) <= 1).mean()  # 0.008 * 108.2 -> reach 1
        assert boundary_f(a, b) == pytest.approx(2 * p * r / (p + r))


def track(seen, whole):
    visible = np.zeros((len(seen), 100, 100), bool)
    for k, n in enumerate(seen):
        visible[k].reshape(-1)[:n] = True
    return Track(visible, np.array(whole), np.array(seen))


def test_groups_by_size_and_occlusion():
    assert size_of(track([100, 140], [100, 140])) == "small"
    assert size_of(track([500, 500], [500, 500])) == "medium"
    assert size_of(track([900, 0], [900, 0])) == "large"
    assert occlusion_of(track([100, 96], [100, 100])) == "clear"
    assert occlusion_of(track([100, 90], [100, 100])) == "partial"
    assert occlusion_of(track([100, 0, 100], [100, 100, 100])) == "vanishes"


def test_return_after_absence():
    assert find_absence(track([100, 50, 0, 0, 10, 60], [100] * 6)) == (2, 5)
    assert find_absence(track([100, 50, 0, 0], [100] * 4)) is None
    assert find_absence(track([100, 50], [100] * 2)) is None


def back(fates, gone=20, back_frame=30):
    return [Return(video="v", clip="c", object_id=n, label="dog", mask_index=0, from_frame=gone, kept=fate == "k",
                   j_own=0.0, back_frame=back_frame) for n, fate in enumerate(fates)]  # fmt: skip


def test_strips_show_kept_and_lost_spread_evenly():
    def ids(fates, n):
        return [case.object_id for case in to_show(back(fates), n)]

    assert ids("klklklklkl", 4) == [0, 8, 1, 9]
    assert ids("kllllllll", 4) == [0, 1, 5, 8]  # one kept, so three of the lost: places 0, 3.5 -> 4, 7 of 8
    assert ids("kkkkl", 4) == [0, 2, 3, 4]
    assert ids("klk", 12) == [0, 2, 1]
    assert ids("klk", 0) == ids("", 4) == []


def test_frames_of_a_strip():
    # 20 - 4 = 16 to 30 + 8 - 1 = 37, 8 frames 3 apart
    assert frames_to_show(back("k")[0], 97) == [16, 19, 22, 25, 28, 31, 34, 37]
    assert frames_to_show(back("k", 2, 5)[0], 7) == [0, 1, 2, 3, 4, 5, 6]


def test_words_in_captions():
    text = "A man walks to the left. Two dogs and a traffic light stand by the buses."
    assert [name for name in ("person", "dog", "traffic light", "bus", "cat", "car") if mentions(text, name)] == [
        "person", "dog", "traffic light", "bus"]  # fmt: skip
    assert sentences_about(text, "dog") == "two dogs and a traffic light stand by the buses."
    assert action_words("walk", "walking") == ("walk", "walking")
