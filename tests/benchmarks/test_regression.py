"""The comparison with the last dated result, on values whose verdict is known."""

import json

import pytest

from benchmarks import data, regression

MACHINE = {"cpu": "A", "cores": 2}


def report(machine=MACHINE, **values):
    """One measurement with a ratio (spread 10%: 0.9 to 1.1 of 1.0), a time and a size."""
    one = {"ratio": 2.0, "took_s": 10.0, "worst_kb": 50.0, "load": [1.0, 2.0]} | values
    goals = {"ratio": ">= 2", "took_s": "< 30", "worst_kb": "<= 60"}
    spread = {"fps": {"median": 1.0, "low": 0.9, "high": 1.1}}
    return {"machine": machine, "measurements": {"codec": one | spread | {"goals": goals}}}


def verdicts(now, before):
    past = {name: regression.Past("old.json", before["machine"], one) for name, one in before["measurements"].items()}
    return {change.value: change.verdict for change in regression.compare(now, past)}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, {"ratio": "same", "took_s": "same", "worst_kb": "same"}),
        ({"ratio": 1.85, "took_s": 10.9}, {"ratio": "same", "took_s": "same", "worst_kb": "same"}),  # within 10%
        ({"ratio": 1.7, "took_s": 11.5, "worst_kb": 40.0}, {"ratio": "worse", "took_s": "worse", "worst_kb": "better"}),
        ({"ratio": 0.0}, {"ratio": "worse", "took_s": "same", "worst_kb": "same"}),
        ({"ratio": float("nan"), "worst_kb": None}, {"ratio": "worse", "took_s": "same", "worst_kb": "missing"}),
    ],
)
def test_worse_is_judged_by_the_sign_of_the_goal_and_the_noise(values, wanted):
    assert verdicts(report(**values), report()) == wanted


def test_times_of_another_processor_are_not_judged():
    found = verdicts(report({"cpu": "B", "cores": 2}, took_s=100.0, ratio=1.0), report())
    assert found == {"ratio": "worse", "took_s": "other processor", "worst_kb": "same"}


def test_a_measurement_or_goal_without_a_past_is_left_out():
    before = report()
    del before["measurements"]["codec"]["took_s"]
    assert set(verdicts(report(), before)) == {"ratio", "worst_kb"}
    assert verdicts(report(), {"machine": MACHINE, "measurements": {}}) == {}


def test_times_of_a_busy_machine_are_not_judged():
    busy = {"load": [3.5, 4.0]}  # runnable threads on two cores
    for now, before in ((report(took_s=20.0, **busy), report()), (report(took_s=20.0), report(**busy))):
        assert verdicts(now, before) == {"ratio": "same", "took_s": "busy machine", "worst_kb": "same"}


def test_a_value_has_its_own_noise_and_a_size_has_none():
    found = verdicts(report(worst_kb=53.0, ratio=1.85), report(spread={"ratio": {"median": 2, "low": 1.96, "high": 2}}))
    assert found["worst_kb"] == "worse"  # 6%: although times vary by 10%
    assert found["ratio"] == "same"  # 8%: this run has no spread of its own, and its widest is 10%
    own = {"spread": {"ratio": {"median": 2.0, "low": 1.98, "high": 2.02}}}
    assert verdicts(report(ratio=1.85, **own), report(**own))["ratio"] == "worse"


def test_a_value_that_was_0_or_has_no_goal_is_judged():
    assert verdicts(report(worst_kb=1.0), report(worst_kb=0.0))["worst_kb"] == "worse"
    assert verdicts(report(ratio=1.0), report(ratio=0.0))["ratio"] == "better"
    watched = {"watched": {"cut_mb": "<"}}
    assert verdicts(report(cut_mb=2.0, **watched), report(cut_mb=1.0, **watched))["cut_mb"] == "worse"


def test_the_newest_file_with_a_measurement_is_its_past(tmp_path):
    (tmp_path / "2026-01-02-data.json").write_text(json.dumps(report()))
    (tmp_path / "2025-12-31-data.json").write_text(json.dumps(report(ratio=9.0)))
    (tmp_path / "2026-01-03-else.json").write_text(json.dumps({"machine": MACHINE, "measurements": {"shards": {}}}))
    now = report(ratio=1.0)
    now["measurements"]["codec"]["reached"] = {"ratio": False, "took_s": True, "worst_kb": True}
    lines = list(regression.report(now, tmp_path))
    assert lines[2] == "| codec: ratio | 2 | 1 | 0.5 | 0.1 | worse | 2026-01-02-data.json |"
    assert lines[-1] == "1 of 3 worse than before: codec: ratio"
    assert data.summary(now, tmp_path / "x.json").startswith(
        "make bench: 2 of 3 goals reached, 1 worse than in 2026-01"
    )


def test_results_of_one_day_are_stored_together(tmp_path):
    first, second = report() | {"date": "2026-01-02T03:04:05"}, report(ratio=3.0) | {"date": "2026-01-02T06:00:00"}
    second["measurements"]["shards"] = second["measurements"].pop("codec")
    for one in (first, second):
        path = data.store(one, tmp_path)
    assert path.name == "2026-01-02-data.json"
    past = regression.last_results(tmp_path)
    assert {name: one.measured["ratio"] for name, one in past.items()} == {"codec": 2.0, "shards": 3.0}


def test_without_a_result_it_says_what_is_missing(tmp_path):
    assert list(regression.report(report(), tmp_path)) == [f"no earlier result in {tmp_path} to compare with"]


def test_every_shipped_result_of_make_bench_can_be_compared():
    past = regression.last_results()
    assert {"codec", "cutting", "train mini-rope"} <= past.keys()
    for name, (_, machine, measured) in past.items():
        calm = measured | {"load": [0.0, 0.0]}
        now = {"machine": machine, "measurements": {name: calm}}
        changes = list(regression.compare(now, {name: regression.Past("same.json", machine, calm)}))
        assert {change.verdict for change in changes} <= {"same"}
