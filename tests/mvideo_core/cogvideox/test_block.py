"""What a block keeps for the backward pass under bf16 autocast, and that keeping less changes no number."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from mvideo_core.cogvideox import attention, block
from mvideo_core.cogvideox.adapter import LoraOptions, add_lora
from mvideo_core.cogvideox.base import BaseOptions, load_base
from tests.mvideo_core.cogvideox.conftest import draw_inputs


@pytest.fixture
def cuda_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocast of the CPU as that of CUDA: layer norms run on fp32 copies."""
    on_cpu = F.layer_norm

    def layer_norm(input: Tensor, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            input, weight, bias = (None if one is None else one.float() for one in (input, weight, bias))
        return on_cpu(input, shape, weight, bias, eps)

    monkeypatch.setattr(F, "layer_norm", layer_norm)


def with_copies(norm: nn.Module, tokens: Tensor) -> Tensor:
    """A layer norm as diffusers' blocks take it."""
    result: Tensor = norm(tokens).to(tokens.dtype)
    return result


def step(size: str, copies: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, dict[str, Tensor], int]:
    """Loss, gradients, and bytes that autograd keeps besides weights, of one step over a bf16 base."""
    model: Any = load_base(BaseOptions(weights=f"random:{size}", dtype="bf16"), parts=("transformer",)).transformer
    torch.manual_seed(0)
    add_lora(model, LoraOptions(rank=8, alpha=8))
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "mask_proj" in name:
            nn.init.normal_(parameter, std=0.1)
    with monkeypatch.context() as patch:
        if copies:
            patch.setattr(block, "layer_norm", with_copies)
            patch.setattr(attention, "layer_norm", with_copies)
            for module in model.modules():
                if isinstance(module, BaseTunerLayer):
                    del module._cast_input_dtype  # peft's own
        given = draw_inputs()
        kept: dict[int, int] = {}
        ours = {one.untyped_storage().data_ptr() for one in model.parameters()}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in ours:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autocast("cpu", torch.bfloat16), torch.autograd.graph.saved_tensors_hooks(pack, lambda one: one):
            out = model(given.latents, given.text, given.timestep, conditions=given.conditions, return_dict=False)[0]
            loss = out.float().square().mean()
        loss.backward()
    gradients = {name: one.grad for name, one in model.named_parameters() if one.requires_grad}
    return loss.detach(), gradients, sum(kept.values())


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
def test_fewer_kept_tensors_give_the_same_loss_and_gradients_but_for_roundings_of_bf16(
    size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the loss is equal bit for bit, and gradients differ by 0.7 % of their largest value at most."""
    loss, gradients, kept = step(size, False, monkeypatch)
    loss_before, gradients_before, kept_before = step(size, True, monkeypatch)
    assert 0 < loss < float("inf")
    assert kept < 0.8 * kept_before
    torch.testing.assert_close(loss, loss_before, rtol=2**-10, atol=0)
    for name, before in gradients_before.items():
        assert before.abs().max() > 0, name
        assert (gradients[name] - before).abs().max() <= 2**-6 * before.abs().max(), name
