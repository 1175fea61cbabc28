"""VAE and transformer one at a time: what moves, what stays, and the videos of training with it."""

from typing import Any

import numpy as np
import torch
from torch import nn

from mvideo_core.cogvideox.base import random_base
from mvideo_core.cogvideox.offload import Offloader, move_frozen
from mvideo_core.cogvideox.pipeline import MVideoPipeline

CPU, META = torch.device("cpu"), torch.device("meta")


def test_frozen_parameters_and_buffers_move_and_trained_ones_keep_their_gradient_buffer() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    trained, flat = module[0].weight, torch.zeros(4)
    module.requires_grad_(False)
    trained.requires_grad_(True)
    trained.grad = flat.view(2, 2)
    move_frozen(module, META)
    assert {name for name, one in module.named_parameters() if one.is_meta} == {"0.bias", "1.weight", "1.bias"}
    assert all(one.is_meta for one in module.buffers())
    assert module[0].weight is trained
    trained.grad.fill_(1)
    assert flat.sum() == 4


def test_never_two_modules_at_once() -> None:
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    for module in (one, two):
        module.requires_grad_(False)
    offloader = Offloader({"one": one, "two": two}, CPU, META)  # away is "meta", whose tensors differ
    with offloader.use("one"):
        assert (one.weight.is_meta, two.weight.is_meta) == (False, True)
        assert offloader.active == "one"


def test_the_pipeline_gives_each_its_turn_and_the_same_video() -> None:
    base = random_base("tiny-rope")
    pipeline = MVideoPipeline.from_base(base)
    pipeline.set_progress_bar_config(disable=True)
    masks = np.zeros((9, 32, 64), bool)
    masks[:, 8:20, 8:20] = True
    frame = np.full((32, 64, 3), 90, np.uint8)

    def made() -> np.ndarray:
        return pipeline("a cat", masks, frame, num_inference_steps=2, generator=torch.Generator().manual_seed(0))

    plain, seen = made(), []
    pipeline.take_turns(CPU, CPU)
    offloader: Any = pipeline._offloader
    watched = (("vae", pipeline.vae.encoder), ("vae", pipeline.vae.decoder), ("transformer", base.transformer))
    for name, module in watched:
        module.register_forward_pre_hook(lambda *_, name=name: seen.append((name, offloader.active)))
    assert np.array_equal(made(), plain)
    assert {name for name, _ in seen} == {"vae", "transformer"}
    assert all(name == here for name, here in seen)
