"""Drawn clips small enough for tests: what `base_data` writes, without drawing the world."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mvideo_core.miniworld.training.base_data import Clips

HEIGHT, WIDTH = 32, 64


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Clips:
    folder = tmp_path_factory.mktemp("data")
    write_clips(folder)
    return Clips(folder)


def write_clips(folder: Path, n_clips: int = 3, split: str = "train") -> None:
    """Squares of one color that move right over grey, 33 frames of 32x64 px, with their masks and captions."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = np.full((n_clips, 33, HEIGHT, WIDTH, 3), 90, np.uint8)
    masks = np.zeros((n_clips, 33, HEIGHT, WIDTH), bool)
    for clip in range(n_clips):
        for t in range(33):
            masks[clip, t, 8:20, 4 + t : 16 + t] = True
        frames[clip][masks[clip]] = (200, 40 * clip, 30)
    np.save(folder / f"frames-{split}-00000.npy", frames)
    np.save(folder / f"masks-{split}-00000.npy", np.packbits(masks, axis=-1, bitorder="little"))
    texts = [
        {"seed": n, "plain": "A red car is parked.", "motion": ["A car moves.", f"A car moves {n}."]}
        for n in range(n_clips)
    ]
    (folder / f"texts-{split}-00000.json").write_text(json.dumps(texts))
