"""The aggregator at tiny sizes: real measurements of every kind that fits in seconds, shape and judgment of goals."""

import json
from pathlib import Path

import pytest

from benchmarks import data
from benchmarks.timing import Spread, Took, interleave, ratio, spread

TINY = {
    "film": {"shots_s": (2, 2), "width": 160, "height": 96},
    "codec": {"rounds": 1, "n_frames": 3, "height": 48, "width": 64},
    "shards": {"rounds": 1, "n_samples": 3, "clip_bytes": 5000},
    "cutting": {"rounds": 1},
    "planning": {"n_clips": 50},
}


@pytest.fixture(scope="module")
def report():
    return data.run_all(["codec", "shards", "cutting", "planning"], TINY)


def test_every_goal_is_measured_and_judged(report):
    assert set(report["measurements"]) == {"codec", "shards", "cutting", "planning"}
    for name, one in report["measurements"].items():
        assert one["reached"].keys() == one["goals"].keys(), name
        assert all(one[goal] >= 0 for goal in one["goals"]), name
    json.dumps(report)


def test_tiny_measurements_are_of_the_real_thing(report):
    measured = report["measurements"]
    assert measured["cutting"]["film"]["frames"] == 120
    assert measured["cutting"]["cuts_right"] is True
    assert measured["cutting"]["clips"] == 0  # both shots are shorter than 8 s
    assert measured["shards"]["tars_equal"] is True
    assert measured["shards"]["bytes_read_equal"] is True
    assert measured["planning"]["task_runs"] < 2000


def test_table_and_summary_count_the_goals(report):
    lines = list(data.table(report))
    goals = sum(len(one["goals"]) for one in report["measurements"].values())
    assert len(lines) == 2 + goals
    yes = sum(line.endswith("| yes |") for line in lines)
    assert data.summary(report, Path("x.json")) == f"make bench: {yes} of {goals} goals reached, x.json"


def test_goals_are_read_with_their_sign():
    assert data.holds(0.9, ">= 0.9")
    assert not data.holds(0.9, "> 0.9")
    assert data.holds(29.9, "< 30")
    assert not data.holds(60.1, "<= 60")
    with pytest.raises(ValueError, match="about 3"):
        data.holds(3, "about 3")


def test_ratios_are_taken_round_by_round():
    # 4/2, 9/3, 10/1: median 3; the ratio of the medians would be 9/2
    assert ratio([4, 9, 10], [2, 3, 1]) == Spread(3, 2, 10)
    assert spread([5.0, 1.0]) == Spread(3.0, 1.0, 5.0)


def test_works_take_turns():
    seen = []
    took = interleave({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, rounds=2)
    assert seen == ["a", "b", "a", "b", "b", "a"]  # warm-up, then the order turns around
    assert [len(one) for one in took.values()] == [2, 2]
    assert isinstance(took["a"][0], Took)
