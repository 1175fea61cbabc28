"""Tracks: equal to trackeval on the same masks, and to counts made by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.miniworld.accuracy.tracking import Overlaps, count, drop_ignored, identities, overlaps_of, total
from tests.goldens import make_trackeval_goldens

GOLDEN = json.loads(Path(make_trackeval_goldens.__file__).with_name("trackeval.json").read_text(encoding="utf-8"))


def counts_of(true, masklets, ignored):
    clip, share = overlaps_of(true, masklets, ignored, true.any(axis=(2, 3)))
    return count(drop_ignored(clip, share))


@pytest.fixture(scope="module")
def counted():
    return {name: counts_of(*scene) for name, scene in make_trackeval_goldens.scenes().items()}


@pytest.mark.parametrize("name", GOLDEN)
def test_equal_to_trackeval(counted, name):
    ours, theirs = total(counted.values()) if name == "all" else counted[name], GOLDEN[name]
    assert {key: getattr(ours, key) for key in theirs} == pytest.approx(theirs, abs=1e-12)


def test_the_scenes_can_tell_versions_apart():
    assert GOLDEN["all"]["switches"] >= 3
    assert len({one["hota"] for one in GOLDEN.values()}) == len(GOLDEN) - 1  # twice 0
    assert GOLDEN["swapped half way"]["idf1"] < GOLDEN["perfect"]["idf1"] == 1.0


def test_two_masklets_swap_by_hand():
    """Four frames, two objects, masklets exact and swapped from frame 2 on: DetA 1, AssA 2 / (4 + 4 - 2) = 1/3."""
    true = np.ones((4, 2), bool)
    iou = np.stack([np.eye(2)] * 2 + [np.eye(2)[::-1]] * 2)
    counts = count(Overlaps(true, true, iou))
    assert (counts.det_a, counts.ass_a) == (1.0, pytest.approx(1 / 3))
    assert counts.hota == pytest.approx((1 / 3) ** 0.5)
    assert (counts.idtp, counts.idfn, counts.idfp, counts.switches) == (4, 4, 4, 2)
    assert [n for _, _, n in identities(Overlaps(true, true, iou))] == [2, 2]
