"""Muon: what an update is, what it leaves to AdamW, exact resuming."""

import numpy as np
import pytest
import torch

from mvideo_core.miniworld.training.muon import UPDATE_RMS, Muon, MuonWithAdamW, orthogonal


@pytest.mark.parametrize("shape", [(3, 24, 24), (2, 16, 48), (2, 48, 16)])
def test_singular_vectors_stay_and_singular_values_become_one(shape: tuple[int, int, int]):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for before, after in zip(matrices.numpy(), orthogonal(matrices).numpy(), strict=True):
        left, values, right = np.linalg.svd(before, full_matrices=False)
        along = left.T @ after @ right.T
        np.testing.assert_allclose(along, np.diag(np.diag(along)), atol=1e-4)
        kept = np.diag(along)[values > 0.1 * values.max()]
        assert kept.min() > 0.6
        assert kept.max() < 1.3


def test_an_update_has_the_size_of_adamw_s_and_goes_down():
    matrix = torch.nn.Parameter(torch.zeros(32, 64))
    optimizer = Muon([matrix], lr=1.0)
    goal = torch.randn(32, 64, generator=torch.Generator().manual_seed(1))
    (0.5 * (matrix - goal).square().sum()).backward()
    optimizer.step()
    assert float(matrix.detach().square().mean().sqrt()) == pytest.approx(UPDATE_RMS, rel=0.25)
    assert float((matrix.detach() * goal).sum()) > 0


def test_weights_decay_by_the_rate():
    matrix = torch.nn.Parameter(torch.ones(4, 4))
    optimizer = Muon([matrix], lr=0.5, weight_decay=0.1)
    matrix.grad = torch.zeros(4, 4)
    optimizer.step()
    torch.testing.assert_close(matrix.detach(), torch.full((4, 4), 0.95))


def both() -> tuple[list[torch.nn.Parameter], MuonWithAdamW]:
    draws = torch.Generator().manual_seed(2)
    parameters = [torch.nn.Parameter(torch.randn(shape, generator=draws)) for shape in ((8, 8), (8, 4), (5,))]
    return parameters, MuonWithAdamW(Muon(parameters[:2], lr=0.01), torch.optim.AdamW(parameters[2:], lr=0.01))


def take_steps(parameters: list[torch.nn.Parameter], optimizer: MuonWithAdamW, count: int) -> None:
    for _ in range(count):
        optimizer.zero_grad()
        sum((value - 1).square().sum() for value in parameters).backward()
        optimizer.step()


def test_both_resume_exactly():
    straight, optimizer = both()
    take_steps(straight, optimizer, 5)
    first, optimizer = both()
    take_steps(first, optimizer, 2)
    second, resumed = both()
    with torch.no_grad():
        for value, earlier in zip(second, first, strict=True):
            value.copy_(earlier)
    resumed.load_state_dict(optimizer.state_dict())
    take_steps(second, resumed, 3)
    for value, wanted in zip(second, straight, strict=True):
        assert torch.equal(value, wanted)


def test_a_new_rate_reaches_both():
    parameters, optimizer = both()
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = [value.detach().clone() for value in parameters]
    take_steps(parameters, optimizer, 1)
    assert all(torch.equal(value, wanted) for value, wanted in zip(parameters, before, strict=True))
