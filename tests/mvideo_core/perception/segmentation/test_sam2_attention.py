"""The memory attention of a CPU against its definition and the layer's own code."""

import numpy as np
import pytest
import torch

from mvideo_core.perception.segmentation import sam2_attention
from mvideo_core.perception.segmentation.sam2_attention import weighted_mean
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter
from tests.mvideo_core.perception.segmentation.test_sam2_video import BOXES, HEIGHT, WIDTH, moving_squares


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(sam2_attention, "BLOCK_QUERIES", 5)
    monkeypatch.setattr(sam2_attention, "BLOCK_KEYS", 7)


def test_weighted_mean_is_softmax_times_values():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(0, 3, (2, n, width)).astype(np.float32) for n, width in ((13, 8), (23, 8), (23, 4)))
    scores = np.exp(np.einsum("nqc,nkc->nqk", q.astype(np.float64), k) / np.sqrt(8))
    wanted = np.einsum("nqk,nkd->nqd", scores / scores.sum(-1, keepdims=True), v)
    found = weighted_mean(*map(torch.from_numpy, (q, k, v)))
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


def test_scores_too_large_for_exp():
    q, k, v = torch.full((1, 1, 1), 200.0), torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[5.0], [7.0]]])
    assert weighted_mean(q, k, v).item() == 7.0


def test_masks_of_the_layers_own_code(monkeypatch):
    """The tiny network has 16 queries; it averages first only if the limit says so."""

    def logits() -> torch.Tensor:
        steps = Sam2Segmenter.tiny(seed=3).steps(iter(moving_squares(9)), HEIGHT, WIDTH, BOXES)
        return torch.stack([step.logits for step in steps])

    calls = []
    monkeypatch.setattr(sam2_attention, "weighted_mean", lambda *args: calls.append(1) or weighted_mean(*args))
    usual = logits()
    assert not calls
    monkeypatch.setattr(sam2_attention, "LEAST_QUERIES", 16)
    found = logits()
    assert len(calls) == 8  # one layer, every frame but the first
    torch.testing.assert_close(found, usual, atol=1e-5, rtol=0)
