import math

import pytest

from mvideo_core.evaluation.aggregate import ScoreRow, aggregate
from mvideo_core.evaluation.bootstrap import bootstrap_mean
from mvideo_core.evaluation.suite import BootstrapOptions

OPTIONS = BootstrapOptions()


def row(name: str, value: float | None, status: str = "ok", **known: float) -> ScoreRow:
    return ScoreRow.model_validate({"id": name, "metric": "m", "status": status, "value": value, **known})


def test_macro_is_over_videos_and_micro_over_frames() -> None:
    rows = [
        row("a", 0.5, n_frames=10, frames_sum=5.0),
        row("b", 1.0, n_frames=2, frames_sum=2.0, n_frames_skipped=8),
        row("c", None, "missing"),
        row("d", None, "failed"),
        row("e", None, "inapplicable"),
    ]
    got = aggregate(rows, list("abcde"), OPTIONS)
    assert got.mean == 0.75
    assert got.micro == pytest.approx(7 / 12)
    assert (got.n, got.n_missing, got.n_failed, got.n_inapplicable) == (2, 1, 1, 1)
    assert (got.n_frames, got.n_frames_skipped) == (12, 8)


def test_nothing_scored_gives_no_number() -> None:
    got = aggregate([row("a", None, "missing")], ["a"], OPTIONS)
    assert (got.mean, got.low, got.high, got.micro, got.n) == (None, None, None, None, 0)


def test_details_are_means_over_the_videos_that_have_them() -> None:
    rows = [
        ScoreRow(id="a", metric="m", status="ok", value=1, details={"j": 0.2, "f": 0.5}),
        ScoreRow(id="b", metric="m", status="ok", value=1, details={"j": 0.4}),
    ]
    assert aggregate(rows, ["a", "b"], OPTIONS).details == pytest.approx({"j": 0.3, "f": 0.5})


def test_interval_of_two_values_is_the_two_values() -> None:
    # Means of two draws out of {0, 1}: 0, 1/2, 1/2, 1, each a quarter; so 2.5 % and 97.5 % are 0 and 1.
    assert bootstrap_mean([0.0, 1.0], ["a", "b"], OPTIONS) == (0.5, 0.0, 1.0)
    narrow = bootstrap_mean([0.0, 1.0], ["a", "b"], BootstrapOptions(level=0.501))
    assert narrow.low in (0.0, 0.5)
    assert narrow.high in (0.5, 1.0)


def test_interval_of_many_is_near_the_normal_one() -> None:
    values = [float(n % 2) for n in range(400)]  # standard deviation 1/2, of the mean 1/40
    got = bootstrap_mean(values, range(400), BootstrapOptions(samples=4000))
    assert got.mean == 0.5
    assert got.low == pytest.approx(0.5 - 1.96 / 40, abs=0.004)
    assert got.high == pytest.approx(0.5 + 1.96 / 40, abs=0.004)


def test_videos_of_a_prompt_are_drawn_together() -> None:
    values = [0.0] * 50 + [1.0] * 50
    together = bootstrap_mean(values, ["p"] * 50 + ["q"] * 50, OPTIONS)
    apart = bootstrap_mean(values, range(100), OPTIONS)
    assert together == (0.5, 0.0, 1.0)
    assert apart.high - apart.low < 0.25


def test_same_seed_same_interval_and_one_prompt_none() -> None:
    values, names = [math.sin(n) for n in range(40)], list(range(40))
    assert bootstrap_mean(values, names, OPTIONS) == bootstrap_mean(values, names, OPTIONS)
    assert bootstrap_mean(values, names, OPTIONS) != bootstrap_mean(values, names, BootstrapOptions(seed=1))
    alone = bootstrap_mean([0.25, 0.75], ["p", "p"], OPTIONS)
    assert alone.mean == 0.5
    assert math.isnan(alone.low)
    assert aggregate([row("a", 0.5)], ["p"], OPTIONS).low is None
