"""Interval and p-value against scipy's permutation test, Student's t, and values worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from mvideo_core.base.errors import ConfigError
from mvideo_core.evaluation.intervals import estimate_mean, estimate_ratio, holm
from mvideo_core.evaluation.suite import IntervalOptions

OPTIONS = IntervalOptions()


def scipy_p(values: np.ndarray) -> float:
    """Two-sided p of "the mean is 0" over all sign flips."""
    found = stats.permutation_test(
        (values,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    return float(found.pvalue)


def test_six_values_of_one_sign_by_hand() -> None:
    # 32 flips up to the sign of the whole; only "none" is as extreme: 1/32. At 5 % one subset mean may lie outside
    # the interval, so its ends are the smallest and the largest value.
    got = estimate_mean([1, 2, 3, 4, 5, 9], "abcdef", OPTIONS)
    assert got == (4.0, 1.0, 9.0, 1 / 32, 6)


@pytest.mark.parametrize("n", [6, 9, 12, 14])
def test_all_flips_give_the_p_value_of_scipy(n: int) -> None:
    for seed in range(6):
        values = np.random.default_rng(seed).normal(0.4, 1, n)
        assert estimate_mean(list(values), range(n), OPTIONS).p == pytest.approx(scipy_p(values), abs=1e-12)


def test_the_interval_holds_exactly_the_values_that_scipy_does_not_reject() -> None:
    for seed, level in ((0, 0.95), (1, 0.95), (2, 0.9), (3, 0.8)):
        values = np.random.default_rng(seed).gamma(2, 1, 9)
        got = estimate_mean(list(values), range(9), IntervalOptions(level=level))
        assert got.low is not None
        assert got.high is not None
        for end, outward in ((got.low, -1e-6), (got.high, 1e-6)):
            assert scipy_p(values - end + outward / 2) > 1 - level
            assert scipy_p(values - end - outward) <= 1 - level + 1e-9


def test_drawn_flips_are_near_students_t() -> None:
    values = np.random.default_rng(5).normal(0.3, 1, 60)
    got = estimate_mean(list(values), range(60), OPTIONS)
    low, high = stats.t.interval(0.95, 59, values.mean(), stats.sem(values))
    assert (got.low, got.high) == pytest.approx((low, high), abs=0.02)
    assert got.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)


def test_videos_of_a_prompt_flip_together() -> None:
    prompts = np.random.default_rng(2).normal(0.5, 1, 10)
    tripled = [float(value) for value in prompts for _ in range(3)]
    got = estimate_mean(tripled, [n // 3 for n in range(30)], OPTIONS)
    assert got.n_clusters == 10
    assert got.p == pytest.approx(scipy_p(prompts), abs=1e-12)  # copies add nothing
    assert estimate_mean(tripled, range(30), OPTIONS).p < got.p / 2


def test_the_mean_stays_that_over_videos_when_prompts_have_several() -> None:
    # Totals 6 (3 videos) and 1, 1, 1, 1, 1; subset means: {first} = 2, all others 1, mixed (6 + k) / (3 + k).
    got = estimate_mean([1, 2, 3, 1, 1, 1, 1, 1], list("aaabcdef"), OPTIONS)
    assert (got.mean, got.low, got.high, got.n_clusters) == (11 / 8, 1.0, 2.0, 6)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_below_six_prompts_there_is_a_mean_and_nothing_else(n: int) -> None:
    assert estimate_mean([1.0] * n, range(n), OPTIONS) == (1.0, None, None, None, n)
    assert estimate_mean([1.0] * 20, [k % n for k in range(20)], OPTIONS).p is None


def test_a_level_that_six_prompts_cannot_reach_gives_none() -> None:
    strict = IntervalOptions(level=0.99)  # needs 100 flips: 8 prompts have 128
    assert estimate_mean([1.0] * 7, range(7), strict).p is None
    assert estimate_mean([1.0] * 8, range(8), strict).p == 1 / 128


@pytest.mark.parametrize("n", [15, 16, 17, 18, 20, 60])
@pytest.mark.parametrize("family", [1, 6, 528])
def test_a_difference_of_every_prompt_passes_any_correction(n: int, family: int) -> None:
    """The smallest p-value is 1 / (draws + 1), which 99 or 9,999 draws leave above 0.05 / 528."""
    for seed in range(3):
        got = estimate_mean([1.0] * n, range(n), IntervalOptions(draws=99, seed=seed), family)
        assert got.p is not None
        assert got.p * family <= 0.05
        assert got.p >= 2 / 2**n or n > 20  # no more than all flips can show


def test_as_many_flips_as_there_are_give_the_p_value_of_scipy() -> None:
    """15 prompts have 16,384 flips up to the sign of the whole, which 528 comparisons need anyway."""
    values = np.random.default_rng(7).normal(0.6, 1, 15)
    assert estimate_mean(list(values), range(15), OPTIONS, family=528).p == pytest.approx(scipy_p(values), abs=1e-12)


def test_a_strict_level_gets_the_draws_that_it_needs() -> None:
    got = estimate_mean([1.0] * 40, range(40), IntervalOptions(level=0.995, draws=99))
    assert (got.p, got.low, got.high) == (1 / 801, 1.0, 1.0)  # 4 * 1 / 0.005 draws


def test_more_comparisons_than_draws_can_tell_apart_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"101 comparisons at level 0\.9999 need 1,010,000 draws; the maximum is 1,000,000"
    ):
        estimate_mean([1.0] * 40, range(40), IntervalOptions(level=0.9999), family=101)


@pytest.mark.parametrize("n", [8, 40])
def test_the_order_of_values_changes_no_bit(n: int) -> None:
    values = np.random.default_rng(3).normal(0, 1, n)
    names = [f"p{k // 2}" for k in range(n)] if n > 20 else [f"p{k}" for k in range(n)]
    want = estimate_mean(list(values), names, OPTIONS)
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(n)
        assert estimate_mean([values[k] for k in order], [names[k] for k in order], OPTIONS) == want


def test_no_difference_at_all_is_none() -> None:
    assert estimate_mean([0.0] * 9, range(9), OPTIONS) == (0.0, 0.0, 0.0, 1.0, 9)
    assert estimate_mean([0.1, -0.1] * 10, range(20), OPTIONS).p == 1.0


def test_holm_by_hand() -> None:
    # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2 = 0.06, 0.5; none below one before it.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([]) == []


def test_the_interval_of_a_ratio_holds_exactly_the_ratios_that_scipy_does_not_reject() -> None:
    draw = np.random.default_rng(4)
    below = draw.uniform(0.2, 1, 9)
    above = below * draw.normal(0.5, 0.3, 9)
    got = estimate_ratio(list(above), list(below), range(9), OPTIONS)
    assert got.mean == pytest.approx(above.sum() / below.sum())
    assert got.p == pytest.approx(scipy_p(above), abs=1e-12)
    assert got.low is not None
    assert got.high is not None
    for end, outward in ((got.low, -1e-6), (got.high, 1e-6)):
        assert scipy_p(above - (end - outward) * below) > 0.05
        assert scipy_p(above - (end + outward) * below) <= 0.05 + 1e-9


def test_a_prompt_without_room_between_chance_and_ceiling_leaves_no_interval() -> None:
    got = estimate_ratio([0.5] * 7, [1.0] * 6 + [-0.1], range(7), OPTIONS)
    assert got == (pytest.approx(3.5 / 5.9), None, None, None, 7)
