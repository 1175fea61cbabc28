"""Mistakes of devices, found without a GPU: on fake CUDA tensors two devices in one operation raise, as does a wait.

A wait is a number that Python asks for (`.item()`, `float`, `if tensor`): the GPU's queue runs dry until it is there.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from mvideo_core import MVideoPipeline
from mvideo_core.cogvideox import pipeline as pipeline_module
from mvideo_core.cogvideox.adapter import LoraOptions, add_lora
from mvideo_core.cogvideox.base import Base, random_base
from mvideo_core.cogvideox.schedule import Schedule
from mvideo_core.training import main
from mvideo_core.training.batches import Batch
from mvideo_core.training.distributed import World
from mvideo_core.training.losses import ConsistencyOptions, MVideoObjective
from mvideo_core.training.options import TrainOptions

GPU = "cuda:0"


@pytest.fixture(params=["tiny-sincos", "tiny-rope"])
def base(request: pytest.FixtureRequest) -> Iterator[Base]:
    """A tiny CogVideoX with adapters, all of it on a GPU that is not there."""
    found = random_base(request.param)
    add_lora(found.transformer, LoraOptions(rank=4, alpha=4))
    with FakeTensorMode():
        for model in (found.transformer, found.vae, found.text_encoder):
            to_gpu(model)
        yield found


def to_gpu(model: nn.Module) -> None:
    for part in model.modules():
        for name, one in list(part.named_parameters(recurse=False)):
            fake = torch.empty(one.shape, dtype=one.dtype, device=GPU)
            setattr(part, name, nn.Parameter(fake, requires_grad=one.requires_grad))
        for name, buffer in list(part.named_buffers(recurse=False)):
            part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=GPU)


def batch_on_cpu() -> Batch:
    """As the reader threads make it: with mask, history and teacher."""
    levels = {"timestep_B": torch.empty(2).long(), "history_timestep_B": torch.empty(2).long()}
    return Batch(
        keys=("a", "b"), x0_BFCHW=torch.empty(2, 3, 16, 4, 8), noise_BFCHW=torch.empty(2, 3, 16, 4, 8),
        text_BLC=torch.empty(2, 16, 32), mask_BFCHW=torch.empty(2, 3, 16, 4, 8),
        appearance_BFCHW=torch.empty(2, 1, 16, 4, 8), motion_BFCHW=torch.empty(2, 3, 16, 2, 4),
        consistency_B=torch.empty(2), with_teacher=True, seed=0, **levels,
    )  # fmt: skip


@pytest.mark.parametrize("prediction", ["conditioned", "dropped", "extra_forward"])
def test_the_loss_is_taken_on_the_gpu_without_one_wait(base: Base, prediction: Any) -> None:
    tables = Schedule(torch.empty(1000), torch.empty(1000))
    objective = MVideoObjective(base.transformer, tables, ConsistencyOptions(prediction=prediction))
    losses = objective.loss(batch_on_cpu())
    assert {losses.total.device, *(part.device for part in losses.parts.values())} == {torch.device(GPU)}


def test_a_wait_and_a_tensor_of_another_device_are_seen(base: Base) -> None:
    """What the tests here rest on."""
    with pytest.raises(DataDependentOutputException):
        float(torch.empty(1, device=GPU))
    with pytest.raises(RuntimeError, match="cpu"):
        torch.empty(2, device=GPU) + torch.empty(2)


def test_the_parts_of_the_pipeline_work_on_the_gpu(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """VAE there and back, masks, text. The check that values are finite is a wait, and is left out here."""
    monkeypatch.setattr(pipeline_module, "check_finite", lambda values, what: None)
    pipeline = MVideoPipeline.from_base(base)
    found = {
        "video": pipeline.encode_video(np.zeros((9, 32, 64, 3), np.uint8)),
        "mask": pipeline.encode_mask(np.zeros((9, 32, 64), np.bool_)),
        "text": pipeline.embed_text("a red ball"),
        "decoded": base.vae.decode(torch.empty(1, 16, 3, 4, 8, device=GPU)).sample,
    }
    assert {name: str(one.device) for name, one in found.items()} == dict.fromkeys(found, GPU)


class Waits(TorchDispatchMode):
    """Counts numbers read from tensors, one by one."""

    n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_a_training_step_waits_for_the_gpu_once(
    tiny: Callable[..., TrainOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For loss, its parts, gradient norm and stop at once. Adam is left out: on a GPU it is fused and never waits."""
    trainer, close = main.build(tiny(), World(0, 0, 1, torch.device("cpu")))
    read: list[int] = []
    to_list = torch.Tensor.tolist

    def counted(tensor: torch.Tensor) -> Any:
        if threading.current_thread() is threading.main_thread():  # readers draw on the CPU
            read.append(tensor.numel())
        return to_list(tensor)

    monkeypatch.setattr(trainer.optimizer, "step", lambda: None)
    monkeypatch.setattr(torch.Tensor, "tolist", counted)
    with Waits() as waits:
        metrics = trainer.train_step()
    close()
    assert metrics["train/grad_norm"] > 0
    assert (read, waits.n) == ([5], 0)
