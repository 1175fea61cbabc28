"""Weights inside and outside the mask, against numpy."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mvideo_core.base.errors import ConfigError
from mvideo_core.training.loss_weights import MaskLossOptions, cell_weights
from mvideo_core.training.losses import squared_error
from mvideo_core.training.options import load_profile


def samples(*coverages: np.ndarray) -> list[Any]:
    return [SimpleNamespace(coverage_FHW=torch.from_numpy(one)) for one in coverages]


def drawn(n: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (3, 4, 8), np.uint8) for _ in range(n)]


def test_weights_by_hand() -> None:
    """Cells all inside, all outside: 3 and 1, over their mean 2. A cell of 51 / 255 inside: 1 + 2 * 0.2 = 1.4."""
    weights = cell_weights(MaskLossOptions(inside=3), samples(np.array([[[255, 0]]], np.uint8)), torch.tensor([False]))
    assert weights is not None
    assert weights.tolist() == [[[[1.5, 0.5]]]]
    part = cell_weights(MaskLossOptions(inside=3), samples(np.array([[[51, 0]]], np.uint8)), torch.tensor([False]))
    assert part is not None
    np.testing.assert_allclose(part[0, 0, 0], [1.4 / 1.2, 1 / 1.2], rtol=1e-6)


@pytest.mark.parametrize(("inside", "outside"), [(4.0, 1.0), (1.0, 0.25), (2.0, 0.0), (0.0, 1.0)])
def test_the_error_is_numpys_weighted_mean(inside: float, outside: float) -> None:
    rng, coverages = np.random.default_rng(1), drawn()
    predicted, target = rng.normal(size=(2, 3, 3, 5, 4, 8)).astype(np.float32)
    weights = cell_weights(MaskLossOptions(inside=inside, outside=outside), samples(*coverages), torch.zeros(3).bool())
    assert weights is not None
    found = squared_error(torch.from_numpy(predicted), torch.from_numpy(target), weights)
    for n, coverage in enumerate(coverages):
        share = coverage / 255.0
        cells = inside * share + outside * (1 - share)
        wanted = np.average(((predicted - target)[n] ** 2).mean(axis=1), weights=cells)
        assert found[n].item() == pytest.approx(wanted, rel=1e-5)
        assert weights[n].mean().item() == pytest.approx(1, rel=1e-5)


def test_samples_whose_mask_is_not_seen_or_where_nothing_would_count_are_weighted_evenly() -> None:
    empty = np.zeros((3, 4, 8), np.uint8)
    unseen = torch.tensor([True, False, False])
    weights = cell_weights(MaskLossOptions(inside=1, outside=0), samples(*drawn(1), empty, *drawn(1)), unseen)
    assert weights is not None
    assert (weights[:2] == 1).all()
    assert weights[2].std() > 0.1
    assert weights.isfinite().all()


def test_equal_weights_are_none_whatever_they_are() -> None:
    """Then the plain mean is taken, and no coverage is asked for."""
    for value in (1.0, 0.3):
        assert cell_weights(MaskLossOptions(inside=value, outside=value), [], torch.zeros(0).bool()) is None


def test_two_zeros_are_refused_in_one_line() -> None:
    said = "mask_loss: inside and outside are both 0, so nothing would be trained; give one a weight above 0"
    with pytest.raises(ConfigError, match=f"^values over the profile mini: {re.escape(said)}$"):
        load_profile("mini", {"mask_loss": {"inside": 0, "outside": 0}})
