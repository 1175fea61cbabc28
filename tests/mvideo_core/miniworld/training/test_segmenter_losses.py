import math

import pytest
import torch

from mvideo_core.miniworld.training.segmenter_losses import frame_loss, weight_near


def square(size: int = 40, side: int = 10) -> torch.Tensor:
    truth = torch.zeros(1, size, size)
    truth[0, :side, :side] = 1.0
    return truth


def logits_of(truth: torch.Tensor, strength: float) -> torch.Tensor:
    """Mask logits at half the side that say the truth with this strength."""
    half = torch.nn.functional.avg_pool2d(truth[:, None], 2)
    return (half * 2 - 1) * strength


def test_a_perfect_answer_costs_nothing_and_has_j_1():
    truth = square()
    result = frame_loss(logits_of(truth, 60.0), torch.ones(1, 1), torch.full((1, 1), 20.0), truth, presence=1.0)
    assert result.mean_j == pytest.approx(1.0)
    assert float(result.loss) < 0.05


def test_parts_by_hand():
    truth = torch.ones(1, 40, 40)  # everywhere: logits 0 give probability 1/2 on every pixel
    result = frame_loss(torch.zeros(1, 1, 20, 20), torch.full((1, 1), 0.5), torch.ones(1, 1), truth, presence=0.0)
    area = 1600.0
    dice = 1 - (2 * area / 2 + 1) / (area / 2 + area + 1)
    # logits of 0 are not above 0, so the hard mask is empty: J 0, squared error of the predicted IoU 0.25
    assert float(result.loss) == pytest.approx(2 * math.log(2) + dice + 0.5 * 0.25, rel=1e-4)
    assert result.mean_j == 0.0


def test_absent_objects_teach_presence_only():
    logits = torch.zeros(2, 1, 20, 20, requires_grad=True)
    scores = torch.tensor([[2.0], [-1.0]])
    truth = torch.cat([torch.zeros(1, 40, 40), square()])  # first: absent but said to be there; second: missed
    result = frame_loss(logits, torch.ones(2, 1), scores, truth, presence=1.0)
    want = (math.log1p(math.exp(2.0)) + math.log1p(math.exp(1.0))) / 2
    assert float(result.loss) == pytest.approx(want, rel=1e-5)
    assert math.isnan(result.mean_j)


def test_small_objects_weigh_their_surroundings():
    weight = weight_near(square())[0]
    assert weight[0, 0] == 1.0
    assert weight[39, 39] == pytest.approx(0.1)
    assert 0.1 < weight.mean() < 0.35
