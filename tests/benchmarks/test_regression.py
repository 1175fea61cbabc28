"""The comparison with the last dated result, on values whose verdict is known."""

import json

import pytest

from benchmarks import data, regression

MACHINE = {"cpu": "A", "cores": 2}


def report(machine=MACHINE, **values):
    """One measurement with a ratio (spread 10%: 0.9 to 1.1 of 1.0), a time and a size."""
    one = {"ratio": 2.0, "took_s": 10.0, "worst_kb": 50.0} | values
    goals = {"ratio": ">= 2", "took_s": "< 30", "worst_kb": "<= 60"}
    spread = {"fps": {"median": 1.0, "low": 0.9, "high": 1.1}}
    return {"machine": machine, "measurements": {"codec": one | spread | {"goals": goals}}}


def verdicts(now, before):
    return {change.goal: change.verdict for change in regression.compare(now, before)}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, {"ratio": "same", "took_s": "same", "worst_kb": "same"}),
        ({"ratio": 1.85, "took_s": 10.9}, {"ratio": "same", "took_s": "same", "worst_kb": "same"}),  # within 10%
        ({"ratio": 1.7, "took_s": 11.5, "worst_kb": 40.0}, {"ratio": "worse", "took_s": "worse", "worst_kb": "better"}),
        ({"ratio": 0.0}, {"ratio": "worse", "took_s": "same", "worst_kb": "same"}),
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


def test_the_newest_result_is_used_and_the_summary_counts(tmp_path):
    (tmp_path / "2026-01-02-data.json").write_text(json.dumps(report()))
    (tmp_path / "2025-12-31-data.json").write_text("{}")
    now = report(ratio=1.0)
    now["measurements"]["codec"]["reached"] = {"ratio": False, "took_s": True, "worst_kb": True}
    lines = list(regression.report("data", now, tmp_path))
    assert lines[2] == "| codec: ratio | 2 | 1 | 0.5 | 0.1 | worse |"
    assert lines[-1] == "compared with 2026-01-02-data.json: 1 of 3 worse"
    assert data.summary(now, tmp_path / "x.json").startswith(
        "make bench: 2 of 3 goals reached, 1 worse than in 2026-01"
    )


def test_without_a_result_it_says_what_is_missing(tmp_path):
    assert list(regression.report("data", report(), tmp_path)) == [
        f"no earlier result {tmp_path}/YYYY-MM-DD-data.json to compare with"
    ]


def test_every_shipped_result_of_make_bench_can_be_compared():
    for kind in ("data", "train", "generation"):
        path = regression.last_result(kind)
        assert path is not None
        shipped = json.loads(path.read_text())
        changes = list(regression.compare(shipped, shipped))
        assert changes
        assert {change.verdict for change in changes} == {"same"}
