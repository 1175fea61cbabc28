"""One tiny random pipeline for this folder, and masks on its grid."""

import numpy as np
import pytest
import torch

from mvideo_core.generation.loading import Loaded, load_pipeline
from mvideo_core.masks import MaskSequence, encode
from mvideo_core.model.base import BaseOptions

TINY = BaseOptions(weights="random:tiny-sincos", dtype="fp32")


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
