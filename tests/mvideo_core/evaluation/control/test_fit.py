"""Gain, lag, leakage and identity of squares on known paths."""

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.control.fit import Run, delay_states, fit_control
from mvideo_core.masks import MaskSequence
from tests.mvideo_core.evaluation.control.drawn import N_FRAMES, squares

TIMES = np.arange(N_FRAMES)
STILL = squares()
RAMP = 2 * np.clip(TIMES - 2, 0, 8)
"""Moves right by 16 px between frames 2 and 10."""
SHIFTED = squares(10 + RAMP)


def fit(seen: MaskSequence, wanted: MaskSequence = SHIFTED, seen_base: MaskSequence = STILL):
    return fit_control(Run("", STILL, seen_base), [Run("shift", wanted, seen)])


def test_what_follows_has_gain_one_and_no_lag():
    found = fit(SHIFTED)
    assert (found.gain, found.lag_frames) == (1.0, 0.0)
    assert found.edits[0] == ("shift", 1.0, 0.0, 1.0)


def test_half_the_way_is_gain_one_half():
    assert (fit(squares(10 + RAMP // 2)).gain, fit(squares(10 + RAMP // 2)).lag_frames) == (0.5, 0.0)


@pytest.mark.parametrize("late", [1, 4, -2])
def test_a_later_or_earlier_move_is_a_lag(late):
    found = fit(squares(10 + 2 * np.clip(TIMES - 2 - late, 0, 8)))
    assert found.lag_frames == pytest.approx(late, abs=1e-6)
    assert found.gain == pytest.approx(1.0)


def test_a_lag_between_frames_is_found():
    """Steps of 2 px, half a frame late: every second frame of a ramp of 1 px a step, seen from between two frames."""
    found = fit(squares(10 + np.clip(2 * (TIMES - 2) - 1, 0, 16)))
    assert found.lag_frames == pytest.approx(0.5, abs=0.1)
    assert found.gain == pytest.approx(1.0, abs=0.01)


def test_nothing_moves():
    found = fit(STILL)
    assert (found.gain, found.lag_frames, found.edits[0].identity) == (0.0, None, 0.0)


def test_the_wrong_object_moves():
    found = fit(squares(10, 60 - RAMP))
    assert found.edits[0].identity == 0.0
    assert found.edits[0].leakage == pytest.approx(1.0)  # as far as the other one should have gone
    found = fit(squares(10, 60 + RAMP // 2))  # the same way, half as far
    assert (found.edits[0].leakage, found.edits[0].identity) == (pytest.approx(0.5), 0.0)


def test_an_object_that_follows_less_than_its_neighbor_is_not_the_one_that_moved():
    found = fit(squares(10 + RAMP // 2, 50 + RAMP), seen_base=squares(10, 50))
    assert (found.gain, found.edits[0].identity) == (0.5, 0.0)
    found = fit(squares(10 + RAMP, 50 + RAMP // 2), seen_base=squares(10, 50))
    assert (found.gain, found.edits[0].identity) == (1.0, 1.0)


def test_a_constant_error_of_the_judge_cancels():
    found = fit(squares(13 + RAMP, y0_T=12), seen_base=squares(13, y0_T=12))
    assert (found.gain, found.lag_frames) == (pytest.approx(1.0), 0.0)


def test_frames_in_which_the_object_is_lost_count_as_no_response():
    gone = np.where(TIMES < 13, 10 + RAMP, -1)  # the last 4 of 17 frames
    found = fit(squares(gone))
    assert (found.n_lost, found.lag_frames) == (4, 0.0)
    # Squares of 2, 4, ..., 16 are 816 together, then 6 times 256; of the latter 4 are lost.
    assert found.gain == pytest.approx((816 + 2 * 256) / (816 + 6 * 256))


def test_an_edit_whose_object_is_lost_in_every_frame_does_not_hide_the_lag_of_the_others():
    late = squares(10 + 2 * np.clip(TIMES - 6, 0, 8))
    lost = squares(np.full(N_FRAMES, -1))
    with np.errstate(all="raise"):
        found = fit_control(Run("", STILL, STILL), [Run("shift", SHIFTED, late), Run("scale", SHIFTED, lost)])
    assert found.lag_frames == pytest.approx(4, abs=1e-6)
    assert [one.gain for one in found.edits] == [pytest.approx(1.0), 0.0]


def test_a_dropped_object():
    nobody = np.full(N_FRAMES, -1)
    dropped = squares(nobody)
    for seen, gain, identity in (
        (dropped, 1.0, 1.0),
        (STILL, 0.0, 0.0),
        (squares(np.where(TIMES < 9, -1, 10)), 9 / 17, 1.0),
        (squares(10, nobody), 0.0, 0.0),  # the other one is gone
    ):
        found = fit(seen, dropped)
        assert found.edits[0].gain == pytest.approx(gain)
        assert found.edits[0].identity == identity
        assert (found.gain, found.lag_frames) == (None, None)
    assert fit(squares(10, nobody), dropped).edits[0].leakage == 1.0


def test_two_that_change_places():
    swapped = squares(58, 12, 38, 12)  # centers: (15, 15) and (63, 43), changed
    assert fit(swapped, swapped).edits[0] == ("shift", pytest.approx(1.0), None, 1.0)
    assert fit(STILL, swapped).edits[0].identity == 0.0


def test_delay_is_linear_between_frames_and_holds_the_ends():
    states = np.array([0.0, 2.0, 6.0])[:, None, None]
    assert delay_states(states, 0.5).ravel().tolist() == [0, 1, 4]
    assert delay_states(states, -1.5).ravel().tolist() == [4, 6, 6]


def test_edits_without_an_effect_and_other_shapes_are_refused():
    with pytest.raises(MediaError, match=r"'shift' requests too little: .* by at most 0.000 object sizes"):
        fit(STILL, STILL)
    with pytest.raises(
        MediaError, match=r"'shift': masks of \[17, 1, 60, 80\], and without the edit of \[17, 2, 60, 80\]"
    ):
        fit(SHIFTED, SHIFTED.select([0]))
    with pytest.raises(MediaError, match="no edit"):
        fit_control(Run("", STILL, STILL), [])


def test_covered_objects_are_left_out():
    """Object 1 is wanted inside object 0 all the time: nothing is left to compare."""
    inside = squares(10, 12, 10, 12)
    with pytest.raises(MediaError, match=r"at most 0.000 object sizes where no other object covers it"):
        fit_control(Run("", inside, inside), [Run("shift", squares(10, 12 + np.minimum(TIMES, 2), 10, 12), inside)])
