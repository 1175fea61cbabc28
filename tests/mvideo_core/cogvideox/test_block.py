"""What a block keeps for the backward pass under bf16 autocast, and that keeping less changes no number."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.activations import copies, with_copies
from mvideo_core.cogvideox import block
from mvideo_core.cogvideox.adapter import LoraOptions, add_lora
from mvideo_core.cogvideox.base import BaseOptions, load_base
from mvideo_core.training.estimate.live import cuda_norms
from tests.mvideo_core.cogvideox.conftest import draw_inputs


@pytest.fixture
def cuda_rules() -> Iterator[None]:
    """Autocast of the CPU as that of CUDA: layer norms run on fp32 copies."""
    with cuda_norms():
        yield


def step(size: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of one step over a bf16 base."""
    model: Any = load_base(BaseOptions(weights=f"random:{size}", dtype="bf16"), parts=("transformer",)).transformer
    torch.manual_seed(0)
    add_lora(model, LoraOptions(rank=8, alpha=8))
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "mask_proj" in name:
            nn.init.normal_(parameter, std=0.1)
    given = draw_inputs()
    with torch.autocast("cpu", torch.bfloat16):
        out = model(given.latents, given.text, given.timestep, conditions=given.conditions, return_dict=False)[0]
        loss = out.float().square().mean()
    loss.backward()
    return loss.detach(), {name: one.grad for name, one in model.named_parameters() if one.requires_grad}


@pytest.mark.usefixtures("cuda_rules")
def test_a_norm_of_bf16_tokens_and_its_gradient_are_equal_to_one_rounding() -> None:
    torch.manual_seed(0)
    norm = nn.LayerNorm(64).to(torch.bfloat16)
    nn.init.normal_(norm.weight, 1, 0.2)
    tokens = torch.randn(4, 50, 64, dtype=torch.bfloat16).requires_grad_()
    upstream = torch.randn(4, 50, 64, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = block.layer_norm(norm, tokens), with_copies(norm, tokens)
    (mine,), (reference,) = (torch.autograd.grad(one, tokens, upstream) for one in (ours, theirs))
    torch.testing.assert_close(ours, theirs, rtol=2**-7, atol=2**-10)
    torch.testing.assert_close(mine, reference, rtol=2**-7, atol=2**-5)


@pytest.mark.usefixtures("cuda_rules")
def test_without_the_copies_loss_and_gradients_are_the_same_but_for_roundings_of_bf16(size: str) -> None:
    """Here the loss is equal bit for bit, and gradients differ by 0.7% of their largest value at most."""
    loss, gradients = step(size)
    with copies():
        loss_before, gradients_before = step(size)
    assert 0 < loss < float("inf")
    torch.testing.assert_close(loss, loss_before, rtol=2**-10, atol=0)
    for name, before in gradients_before.items():
        assert before.abs().max() > 0, name
        assert (gradients[name] - before).abs().max() <= 2**-6 * before.abs().max(), name
