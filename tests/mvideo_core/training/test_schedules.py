"""Learning rate by hand."""

import pytest

from mvideo_core.training.schedules import RateOptions, rate_at


def test_warm_up_is_linear_and_ends_below_the_peak() -> None:
    """Three steps of warm-up to 4e-4: a quarter, a half, three quarters, then the peak."""
    options = RateOptions(peak=4e-4, warmup_steps=3)
    assert [rate_at(options, step, 10) for step in range(5)] == pytest.approx([1e-4, 2e-4, 3e-4, 4e-4, 4e-4])


def test_cosine_is_half_in_the_middle_and_reaches_the_floor() -> None:
    """From step 2 to 10: the middle is step 6, half way between 1 and the floor 0.2, which is 0.6."""
    options = RateOptions(peak=1.0, warmup_steps=2, shape="cosine", floor_frac=0.2)
    assert rate_at(options, 2, 10) == pytest.approx(1.0)
    assert rate_at(options, 6, 10) == pytest.approx(0.6)
    assert rate_at(options, 10, 10) == pytest.approx(0.2)
