"""Clips out of shots, by hand-worked numbers."""

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.curation.scenes.plan import Boundary, ClipRules, PlannedClip, ShotPlanner, union_of_spans

RULES = ClipRules(fps=8, min_shot_s=8, trim_s=0.25, min_frames=65, max_frames=97)


def cut(time_s):
    return Boundary(time_s, time_s, "cut")


def test_one_shot_without_cuts():
    planner = ShotPlanner(RULES)
    assert planner.finish(10.0, 1000) == [PlannedClip(0, 0, 73)]  # 80 frames fit, 73 = 8 * 9 + 1
    assert planner.dropped == []


def test_cuts_trim_both_sides_but_file_ends_do_not():
    planner = ShotPlanner(RULES)
    first = planner.close(cut(10.0))
    second = planner.finish(20.0, 1000)
    assert first == [PlannedClip(0, 0, 73)]  # frames 0..77 lie before 9.75
    assert second == [PlannedClip(1, 82, 73)]  # 10.25 s is frame 82; 78 frames are left
    assert planner.shot_index == 1


def test_short_shot_is_dropped_with_its_length():
    planner = ShotPlanner(RULES)
    assert planner.close(cut(7.5)) == []
    drop = planner.dropped[0]
    assert (drop.reason, drop.value, drop.threshold) == ("shot_too_short", 7.5, 8.0)
    assert (drop.start_s, drop.end_s) == (0.0, 7.5)


def test_shot_long_enough_but_not_after_trimming():
    planner = ShotPlanner(RULES)
    planner.close(cut(1.0))
    assert planner.close(cut(9.3)) == []  # 1.25 to 9.05: frames 10..72 = 63
    assert (planner.dropped[1].reason, planner.dropped[1].value, planner.dropped[1].threshold) == (
        "too_few_frames",
        63,
        65,
    )


def test_long_shot_gives_consecutive_clips_as_soon_as_they_are_certain():
    planner = ShotPlanner(RULES)
    assert planner.advance(12.2) == []  # frame 96 is at 12.0; with the trim 12.25 must be settled
    assert planner.advance(12.3) == [PlannedClip(0, 0, 97)]
    assert planner.needed_from == 97
    assert planner.advance(30.0) == [PlannedClip(0, 97, 97)]
    assert planner.finish(33.0, 1000) == [PlannedClip(0, 194, 65)]  # 264 - 194 = 70 frames left
    assert planner.dropped == []


def test_advance_and_finish_agree_with_finish_alone():
    at_once = ShotPlanner(RULES).finish(47.3, 1000)
    planner, stepwise = ShotPlanner(RULES), []
    for tenth in range(473):
        stepwise += planner.advance(tenth / 10)
    assert stepwise + planner.finish(47.3, 1000) == at_once


def test_clips_per_shot():
    planner = ShotPlanner(RULES._replace(clips_per_shot=1))
    assert planner.advance(100.0) == [PlannedClip(0, 0, 97)]
    assert planner.finish(100.0, 1000) == []
    assert planner.dropped == []


def test_gradual_transition_is_left_out_whole_and_swallows_a_cut_inside():
    planner = ShotPlanner(RULES)
    planner.close(Boundary(10.0, 12.0, "gradual"))
    planner.close(cut(11.0))
    assert planner.finish(22.0, 1000) == [PlannedClip(1, 98, 73)]  # from 12.25 on
    assert planner.shot_index == 1


def test_spans():
    assert union_of_spans([[5, 7], [0, 2], [1, 3], [4, 4]]) == ((0, 3), (5, 7))
    rules = RULES._replace(spans_s=((10.0, 30.0),), max_frames=161)
    planner = ShotPlanner(rules)
    planner.close(Boundary(10.0, 10.0, "span"))
    assert planner.close(Boundary(30.0, 30.0, "span")) == [PlannedClip(1, 80, 153)]  # 160 frames, untrimmed
    planner.finish(50.0, 1000)
    assert [drop.reason for drop in planner.dropped] == ["outside_spans", "outside_spans"]


@pytest.mark.parametrize(
    "wrong", [{"max_frames": 96}, {"min_frames": 33, "max_frames": 17}, {"width": 97}, {"detektor": "x"}]
)
def test_options_that_cannot_be(wrong):
    with pytest.raises(ConfigError):
        CutOptions.parse(wrong)


def test_halves_of_a_fade_are_one_transition_but_quick_cuts_are_two():
    planner = ShotPlanner(RULES)
    planner.close(Boundary(10.0, 10.5, "gradual"))
    planner.close(Boundary(10.54, 11.0, "gradual"))
    assert planner.transitions == [Boundary(10.0, 11.0, "gradual")]
    assert planner.finish(21.0, 1000) == [PlannedClip(1, 90, 73)]  # from 11.25 on: 78 frames
    assert planner.dropped == []
    quick = ShotPlanner(RULES)
    quick.close(cut(10.0))
    quick.close(cut(10.3))
    assert len(quick.transitions) == 2
    assert [drop.reason for drop in quick.dropped] == ["shot_too_short"]
