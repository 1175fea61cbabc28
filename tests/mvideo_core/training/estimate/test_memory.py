"""The memory model against real runs on a CPU, against torch's CUDA autocast rules, and against a hand count."""

import os
import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mvideo_core.cogvideox.quantize import quantize_blocks
from mvideo_core.training.estimate.live import LiveBytes, fake_mode, fake_tensors
from mvideo_core.training.estimate.memory import (
    checkpoint_bytes,
    count_activations,
    estimate_memory,
    most_checkpoints,
    peak_of_step,
)
from mvideo_core.training.estimate.shape import empty_inputs, model_shape, on_meta
from mvideo_core.training.options import TrainOptions, load_profile

MID: dict[str, Any] = {
    "out": "x", "global_batch": 4, "micro_batch": 4, "base": {"weights": "random:mini-rope", "dtype": "fp32"},
    "lora": {"rank": 16, "alpha": 16}, "execution": {"precision": "fp32"},
}  # fmt: skip


def options(**values: Any) -> TrainOptions:
    return TrainOptions.parse(MID | values)


def real(chosen: TrainOptions) -> tuple[Any, Any]:
    """A real model with adapters and real inputs, as the estimate has fake ones."""
    torch.manual_seed(0)
    shape = model_shape(chosen)
    model: Any = on_meta(chosen, shape.config).to_empty(device="cpu")
    for parameter in model.parameters():
        nn.init.normal_(parameter.data, std=0.02)
    model.set_gradient_checkpointing(chosen.execution.gradient_checkpointing)
    given = empty_inputs(shape, chosen.micro_batch, torch.float32)
    return model, given


def forward(model: Any, given: Any) -> torch.Tensor:
    return model(given.x, given.text, given.timestep, conditions=given.conditions, return_dict=False)[0]


@pytest.mark.parametrize(("size", "within"), [("tiny-sincos", 0.08), ("tiny-rope", 0.08), ("mini-rope", 0.03)])
def test_kept_activations_are_what_saved_tensors_hooks_count_in_a_real_forward(size: str, within: float) -> None:
    """Bytes of all storages that autograd packs, weights left out; at tiny sizes tables of positions count, too."""
    chosen = options(base={"weights": f"random:{size}", "dtype": "fp32"})
    model, given = real(chosen)
    weights = {one.untyped_storage().data_ptr() for one in [*model.parameters(), *model.buffers()]}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = forward(model, given)
    assert out.requires_grad
    shape = model_shape(chosen)
    fake = on_meta(chosen, shape.config)
    with fake_mode():
        fake_tensors(fake)
        fakes = empty_inputs(shape, chosen.micro_batch, torch.float32)
        with LiveBytes() as live:
            live.outside([*fake.parameters(), *fake.buffers()])
            out = forward(fake, fakes)
            predicted = live.now
    assert predicted == pytest.approx(sum(kept.values()), rel=within)


@pytest.mark.parametrize(
    "checkpointing", ["none", *(pytest.param(one, marks=pytest.mark.slow) for one in ("full", "block_skip:2"))]
)
def test_the_peak_of_a_real_step_is_the_predicted_one(checkpointing: str) -> None:
    """Real tensors of the whole model against fake ones extrapolated from few blocks. To 1 %."""
    chosen = options(execution={"precision": "fp32", "gradient_checkpointing": checkpointing})
    model, given = real(chosen)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    with LiveBytes() as live:
        live.outside([*model.parameters(), *model.buffers(), given])
        forward(model, given).square().mean().backward()
    assert count_activations(chosen).total == pytest.approx(live.peak, rel=0.01)


@pytest.mark.slow
def test_the_peak_of_a_process_grows_by_the_predicted_bytes() -> None:
    """The kernel's own count (VmHWM) of a child that takes one step of 16 clips: to 20 %, as an allocator sees it."""
    chosen = options(global_batch=16, micro_batch=16)
    env = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run([sys.executable, "-c", CHILD], env=env, capture_output=True, text=True, check=True)
    assert int(done.stdout) == pytest.approx(count_activations(chosen).total, rel=0.2)


CHILD = """
import re
from pathlib import Path
from tests.mvideo_core.training.estimate.test_memory import forward, options, real
def kib(what): return int(re.search(what + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
model, given = real(options(global_batch=1, micro_batch=1))
forward(model, given).square().mean().backward()
_, given = real(options(global_batch=16, micro_batch=16))
Path("/proc/self/clear_refs").write_text("5")
before = kib("VmRSS")
forward(model, given).square().mean().backward()
print((kib("VmHWM") - before) * 1024)
"""


@pytest.mark.slow
def test_kept_bytes_under_bf16_are_those_of_cuda_autocast() -> None:
    """torch's own CUDA autocast on fake CUDA tensors (forward only: its backward needs a GPU), flash attention's op."""
    chosen = options(
        base={"weights": "random:mini-rope", "dtype": "bf16"}, execution={"precision": "bf16"}, micro_batch=1
    )
    shape = model_shape(chosen)
    found = []
    for device in ("cpu", "cuda"):
        model = on_meta(chosen, shape.config)
        kept: list[int] = []
        with fake_mode() if device == "cpu" else _fake_cuda():
            fake_tensors(model)
            given = empty_inputs(shape, 1, torch.bfloat16)
            with LiveBytes() as live, _autocast(device):
                live.outside([*model.parameters(), *model.buffers()])
                out = forward(model, given)
                kept.append(live.now)
                del out
        found += kept
    assert found[0] == pytest.approx(found[1], rel=0.01)


class _autocast:
    """torch.autocast switches itself off where there is no CUDA; the rules work on fake tensors all the same."""

    def __init__(self, device: str):
        self.device = device

    def __enter__(self) -> None:
        torch.set_autocast_enabled(self.device, True)
        torch.set_autocast_dtype(self.device, torch.bfloat16)

    def __exit__(self, *_: Any) -> None:
        torch.set_autocast_enabled(self.device, False)
        torch.clear_autocast_cache()


class _fake_cuda:
    def __enter__(self) -> None:
        from torch._subclasses.fake_tensor import FakeTensorMode

        self.attention = F.scaled_dot_product_attention
        F.scaled_dot_product_attention = lambda q, k, v, **_: torch.ops.aten._scaled_dot_product_flash_attention(
            q, k, v
        )[0]
        self.modes = [FakeTensorMode(), torch.device("cuda")]
        for mode in self.modes:
            mode.__enter__()

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self.modes):
            mode.__exit__(*error)
        F.scaled_dot_product_attention = self.attention


def test_frozen_and_trained_bytes_are_those_of_a_real_model() -> None:
    pytest.importorskip("torchao")
    chosen = options(
        base={"weights": "random:tiny-rope", "dtype": "bf16"},
        execution={"quantize": "int8"},
        ema={"decay": 0.9},
        lora={"rank": 4, "alpha": 4},
    )
    from mvideo_core.cogvideox.adapter import LoraOptions, add_lora
    from mvideo_core.cogvideox.base import load_base

    model: Any = load_base(chosen.base, parts=("transformer",)).transformer
    quantize_blocks(model, "int8")
    add_lora(model, LoraOptions(rank=4, alpha=4))
    eight = frozen = trained = 0
    for one in model.parameters():
        if hasattr(one, "qdata"):
            eight += one.qdata.numel() + one.scale.numel() * one.scale.element_size()
        elif one.requires_grad:
            trained += one.numel()
        else:
            frozen += one.numel() * one.element_size()
    frozen += sum(one.numel() * one.element_size() for one in model.buffers())
    memory = estimate_memory(chosen)
    assert (memory.frozen, memory.n_trained, memory.trained) == (frozen + eight, trained, 5 * 4 * trained)


@pytest.mark.slow
def test_the_one_gpu_profiles_fit_what_their_files_say() -> None:
    """And full-size figures that the files and docs name."""
    for name in ("mvideo-2b-1gpu", "mvideo-5b-1gpu"):
        chosen = load_profile(name)
        assert (chosen.launch.processes, chosen.launch.nodes) == (1, 1)
        assert estimate_memory(chosen).total < 22 << 30, name  # 24 GB, 2 GiB left
    whole = load_profile("mvideo-5b")
    # Blocks are equal: bytes grow by the same amount with each.
    at = [peak_of_step(whole, model_shape(whole), layers) for layers in (2, 3, 4)]
    assert at[2] - at[1] == at[1] - at[0]
    assert count_activations(whole) == (at[0] + 40 * (at[1] - at[0]), at[1] - at[0])


def test_checkpoints_on_disk_by_hand() -> None:
    chosen = options(steps=1000, ema={"decay": 0.9}, checkpoints={"every": 100, "keep": 3})
    assert checkpoint_bytes(chosen, 10) == 4 * 10 * 4  # weights, two means of Adam, EMA
    assert most_checkpoints(chosen) == 4
    assert most_checkpoints(options(steps=1000, checkpoints={"every": 100, "keep": 0})) == 11


def test_inputs_follow_the_vae_s_compression():
    shape = model_shape(options(base={"weights": "random:tiny-fine", "dtype": "fp32"}))
    given = empty_inputs(shape, 2, torch.float32)
    # 9 frames of 32x64 px, motion of 16x32, in cells of 4x4 px with 8 channels
    assert given.x.shape == (2, 3, 8, 8, 16)
    assert given.conditions.motion_BFCHW.shape == (2, 3, 8, 4, 8)
    assert shape.latents["appearance"] == (1, 8, 8, 16)
