"""Mistakes of devices in a whole generation, found without a GPU; and how often it waits for it."""

from typing import Any

import numpy as np
import pytest
import torch

from mvideo_core import MVideoPipeline
from mvideo_core.cogvideox.base import random_base
from tests.fake_gpu import GPU, FakeGpu

FRAMES = np.random.default_rng(0).integers(0, 256, (9, 32, 64, 3)).astype(np.uint8)
MASK = FRAMES[..., 0] > 128


@pytest.mark.parametrize(("size", "scheduler", "waits"), [("tiny-rope", "dpm", 8), ("tiny-sincos", "ddim", 6)])
def test_a_clip_made_on_the_gpu_is_the_clip_made_on_the_cpu(size: str, scheduler: Any, waits: int) -> None:
    """With text, mask and history, all kinds of guidance, VAE and sampler; `waits`: of a denoising step at most."""
    pipeline = MVideoPipeline.from_base(random_base(size))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.use_scheduler(scheduler, "trailing")
    torch.nn.init.normal_(pipeline.transformer.mask_proj.weight, std=0.1, generator=torch.manual_seed(1))

    def made(on_step: Any = None) -> np.ndarray:
        return pipeline(
            "a red ball", mask=MASK, appearance_frame=FRAMES[-1], motion_frames=FRAMES, num_inference_steps=4,
            guidance_scale=4, mask_guidance_scale=2, dynamic_guidance=True, history_sigma=0.24,
            generator=torch.Generator().manual_seed(0), callback_on_step_end=on_step,
        )  # fmt: skip

    wanted = made()
    with FakeGpu() as gpu, torch.no_grad():
        for part in (pipeline.transformer, pipeline.vae, pipeline.text_encoder):
            part.to(GPU)
        counts: list[int] = []
        found = made(lambda *_: counts.append(sum(gpu.waits.values())))
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert np.diff(counts).max() <= waits
