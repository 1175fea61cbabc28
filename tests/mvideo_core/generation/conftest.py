"""One tiny random pipeline for this folder, and masks on its grid."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mvideo_core.cogvideox.adapter import LoraOptions, add_lora, list_trainable, save_adapter
from mvideo_core.cogvideox.base import BaseOptions, random_base
from mvideo_core.generation.loading import Loaded, load_pipeline
from mvideo_core.masks import MaskSequence, encode

TINY = BaseOptions(weights="random:tiny-sincos", dtype="fp32")


def tiny_adapter(folder: Path) -> Path:
    """An adapter over `TINY` with random values in everything trained, so that masks change something."""
    base = random_base("tiny-sincos", parts=("transformer",))
    add_lora(base.transformer, LoraOptions(rank=4, alpha=2))
    for value in list_trainable(base.transformer).values():
        torch.nn.init.normal_(value, std=0.1, generator=torch.manual_seed(1))
    save_adapter(folder, base.transformer, base.format)
    return folder


@pytest.fixture(scope="session")
def loaded() -> Loaded:
    """Base model of random weights whose mask convolution is not zero, so that masks change something."""
    torch.set_num_threads(1)
    loaded = load_pipeline(TINY)
    torch.nn.init.normal_(loaded.pipeline.transformer.mask_proj.weight, std=0.5, generator=torch.manual_seed(1))
    loaded.pipeline.set_progress_bar_config(disable=True)
    return loaded


@pytest.fixture
def square(loaded: Loaded) -> MaskSequence:
    """25 frames of two objects: a square that moves one pixel a frame, and one that stays."""
    grid = loaded.pipeline.format
    masks = np.zeros((25, 2, grid.height_px, grid.width_px), np.bool_)
    for t in range(25):
        masks[t, 0, 4:12, t : t + 8] = True
    masks[:, 1, 20:28, 40:48] = True
    return encode(masks)
