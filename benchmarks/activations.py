"""What a block keeps for the backward pass under bf16 autocast, with and without copies of its tokens.

python -m benchmarks.activations       full sizes on fake tensors, and a small size in real steps

diffusers' block keeps the inputs of four layer norms (two of them of the attention's queries and keys) in fp32, and
peft's layers two LoRA inputs a second time: 6 of the 20 tensors of bf16 tokens that a block keeps. Ours keep 14. All
figures are without recomputation.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor, nn

from mvideo_core.cogvideox import adapter, attention, block
from mvideo_core.training.estimate.live import LiveBytes, cuda_norms, fake_mode, fake_tensors
from mvideo_core.training.estimate.memory import estimate_memory
from mvideo_core.training.estimate.shape import empty_inputs, model_shape, on_meta
from mvideo_core.training.options import TrainOptions, load_profile

GIB = 1 << 30
SMALL: dict[str, Any] = {
    "out": "x", "global_batch": 4, "micro_batch": 4, "base": {"weights": "random:mini-rope", "dtype": "bf16"},
    "lora": {"rank": 16, "alpha": 16}, "execution": {"precision": "bf16"},
}  # fmt: skip


class Step(NamedTuple):
    """Loss, gradients, and bytes that autograd kept, in one real step."""

    loss: float
    gradients: dict[str, Tensor]
    kept: int


def with_copies(norm: nn.Module, tokens: Tensor) -> Tensor:
    """A layer norm as diffusers' blocks take it."""
    result: Tensor = norm(tokens).to(tokens.dtype)
    return result


@contextmanager
def copies() -> Iterator[None]:
    """Inside the block, models are made and run as diffusers and peft do it."""
    with (
        patch.object(block, "layer_norm", with_copies),
        patch.object(attention, "layer_norm", with_copies),
        patch.object(adapter, "_cast_outside_autocast", lambda tokens, dtype: tokens.to(dtype)),
    ):
        yield


def full_size(profile: str) -> dict[str, Any]:
    """GiB of a training profile, with copies and without."""
    options = load_profile(profile, {"execution": {"gradient_checkpointing": "none"}})
    with copies():
        before = estimate_memory(options)
    both = (before, estimate_memory(options))
    return {
        "profile": profile,
        "GiB per block": [round(one.per_block / GIB, 2) for one in both],
        "GiB of a process": [round(one.total / GIB, 1) for one in both],
    }


def small_size(values: dict[str, Any] = SMALL) -> dict[str, Any]:
    """kB per block, measured in real steps and counted on fake tensors; how far loss and gradients are equal."""
    options = TrainOptions.parse(values)
    with copies():
        before, counted = [_real_step(options, layers) for layers in (2, 3)], [_count_kept(options)]
    after = [_real_step(options, layers) for layers in (2, 3)]
    counted.append(_count_kept(options))
    furthest = max(
        float((after[1].gradients[name] - one).abs().max() / one.abs().max())
        for name, one in before[1].gradients.items()
    )
    return {
        "size": options.base.weights,
        "kB per block, measured": [round((three.kept - two.kept) / 1000) for two, three in (before, after)],
        "kB per block, counted": [round(one / 1000) for one in counted],
        "loss": [before[1].loss, after[1].loss],
        "largest difference of a gradient, of its largest value": round(furthest, 4),
    }


def _model(options: TrainOptions, layers: int) -> Any:
    return on_meta(options, model_shape(options).config, layers)


def _real_step(options: TrainOptions, layers: int) -> Step:
    torch.manual_seed(0)
    model = _model(options, layers).to_empty(device="cpu")
    for parameter in model.parameters():
        nn.init.normal_(parameter.data, std=0.05)
    given = empty_inputs(model_shape(options), options.micro_batch, torch.bfloat16)
    c: Any = given.conditions
    for tensor in (given.x, given.text, c.mask_BFCHW, c.appearance_BFCHW, c.motion_BFCHW):
        tensor.normal_()
    weights = {one.untyped_storage().data_ptr() for one in [*model.parameters(), *model.buffers()]}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with cuda_norms(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = _loss(model, given)
    loss.backward()
    gradients = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    return Step(float(loss.detach()), gradients, sum(kept.values()))


def _count_kept(options: TrainOptions) -> int:
    """Bytes that a third block adds to what is alive after the forward pass."""
    alive = []
    for layers in (2, 3):
        model = _model(options, layers)
        with fake_mode():
            fake_tensors(model)
            given = empty_inputs(model_shape(options), options.micro_batch, torch.bfloat16)
            with LiveBytes() as live:
                live.outside([*model.parameters(), *model.buffers()])
                loss = _loss(model, given)
                alive.append(live.now)
                del loss
    return alive[1] - alive[0]


def _loss(model: Any, given: Any) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        out = model(given.x, given.text, given.timestep, conditions=given.conditions, return_dict=False)[0]
        loss: Tensor = out.float().square().mean()
    return loss


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in (small_size(), full_size("mvideo-2b"), full_size("mvideo-5b")):
        print(json.dumps(line))
