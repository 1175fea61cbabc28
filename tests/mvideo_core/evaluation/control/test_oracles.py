"""Systems of known control on shots of the mini world; benchmarks/control_oracles.py does this 200 times."""

import itertools

import numpy as np
import pytest

from benchmarks.control_oracles import GAIN_LIMIT, LAG_LIMIT_FRAMES, TRUTH, make_tables, measure_draw, recovery_errors
from mvideo_core.editing import MaskClip, apply_edits, parse_edits
from mvideo_core.evaluation.control.fit import Run
from mvideo_core.evaluation.control.score import score_control
from tests.fixtures.control_oracles import ORACLES, Scene, draw_scenes, is_ranked_right, runs_of


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return list(itertools.islice(draw_scenes(), 2))


@pytest.fixture(scope="module")
def rows(scenes):
    rng = np.random.default_rng(7)
    return [measure_draw(scene, rng) for scene in scenes]


@pytest.mark.parametrize("name", TRUTH)
def test_gain_and_lag_are_recovered(rows, name):
    gains, lags = recovery_errors(rows, name)
    assert gains.max() <= GAIN_LIMIT
    assert lags.max() <= LAG_LIMIT_FRAMES


def test_oracles_are_ranked_right_where_plain_miou_is_not(rows):
    for row in rows:
        assert row["right_by_control"]
        assert not row["right_by_plain_miou"]
        systems = row["systems"]
        # A video that ignores its masks, and happens to be the one they were taken from, has the best plain mIoU.
        assert systems["ignores the mask"]["plain_miou"] == 1.0 > systems["four frames late"]["plain_miou"]
        assert systems["ignores the mask"]["control"] == 0.0
        assert systems["perfect"]["control"] == pytest.approx(1.0, abs=0.02)
        assert systems["fills the box"]["outline"] < 0.05
        assert systems["ignores the mask"]["miou_normalized"] == pytest.approx(0.0)
    assert "| ignores the mask | 0.000 [0.000, 0.000] | 0.000 | - |" in make_tables(rows)


def test_a_ranking_is_wrong_when_tiers_mix():
    right = dict(zip(ORACLES, (1.0, 0.5, 0.4, 0.45, 0.0, 0.0), strict=True))
    assert is_ranked_right(right)
    assert not is_ranked_right(right | {"fills the box": 0.0})
    assert not is_ranked_right(right | {"half gain": 1.0})


def test_a_ceiling_raises_outlines_and_overlap(scenes):
    """What the judge sees of the source video is no fault of the generated one."""
    base, edits = runs_of(ORACLES["four frames late"], scenes[0])
    given = base.wanted
    smaller = apply_edits(MaskClip(given, 8.0, ("", "")), parse_edits(["shrink: {px: 1}"])).sequence
    plain, lifted = (score_control(base, edits, 8.0, source=one)[1] for one in (None, Run("source", given, smaller)))
    assert lifted["miou_ceiling"] < plain["miou_ceiling"] == 1.0
    assert lifted["miou_normalized"] > plain["miou_normalized"]
    assert lifted["outline"] >= plain["outline"]
