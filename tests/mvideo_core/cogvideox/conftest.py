"""Tiny models, one per position type, and inputs for them."""

from typing import NamedTuple

import pytest
import torch

from mvideo_core.cogvideox.base import Base, random_base
from mvideo_core.cogvideox.conditions import Conditions

SIZES = ("tiny-sincos", "tiny-rope")


class Inputs(NamedTuple):
    """Batch of two: x_t (2, 3, 16, 4, 8), text (2, 16, 32), two timesteps, mask and history."""

    latents: torch.Tensor
    text: torch.Tensor
    timestep: torch.Tensor
    conditions: Conditions


def draw_inputs(seed: int = 0) -> Inputs:
    """The same inputs for the same seed."""
    source = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=source)

    conditions = Conditions(drawn(2, 3, 16, 4, 8), drawn(2, 1, 16, 4, 8), drawn(2, 3, 16, 2, 4))
    return Inputs(drawn(2, 3, 16, 4, 8), drawn(2, 16, 32), torch.tensor([3, 700]), conditions)


@pytest.fixture(autouse=True)
def one_thread():
    """The machine is shared; more threads make tiny tensors slower."""
    torch.set_num_threads(1)


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> str:
    """Each tiny size in turn."""
    return request.param


@pytest.fixture
def base(size: str) -> Base:
    """A whole tiny CogVideoX."""
    return random_base(size)


@pytest.fixture
def transformer(size: str):
    """Only its transformer, with zero-initialized conditioning."""
    return random_base(size, parts=("transformer",)).transformer


@pytest.fixture
def inputs() -> Inputs:
    """See `draw_inputs`."""
    return draw_inputs()
