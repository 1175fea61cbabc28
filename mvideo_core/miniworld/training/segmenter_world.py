"""World clips rendered once to disk as arrays, so that training does not wait for rendering.

A shard is three files of S shots: `frames-00000.npy` (S, T, size, size, 3) uint8; `masks-00000.npy` uint8 (S, T, N,
size, size / 8), 8 pixels per byte, little-endian bits; `areas-00000.npy` (S, T, N, 2) float32: visible area as a
fraction of the frame, and visible / amodal area. Shots with fewer than N objects are padded with empty masks.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.miniworld.training import drawn_shards
from mvideo_core.miniworld.world import render_shot, sample_shot
from mvideo_core.miniworld.world.spec import Split

CLIP_WIDTH, CLIP_HEIGHT = 720, 480
MAX_OBJECTS = 6
RATES_FPS = (8.0, 8.0, 8.0, 4.0, 2.0)
"""Most clips use the pipeline's frame rate; slower ones fit longer absences into a short clip."""


class Shard(NamedTuple):
    """Arrays of one shard, memory-mapped."""

    frames: np.ndarray
    masks: np.ndarray
    areas: np.ndarray


def render_shards(folder: Path, n_shots: int, n_frames: int, size: int, shots_a_shard: int = 100) -> None:
    """Render the train split's shots 0 .. n_shots - 1; existing shards are kept."""

    def draw(seed: int) -> list[Shard]:
        return [render_clip(seed, n_frames, size)]

    drawn_shards.draw_shards(folder, Shard._fields, range(n_shots), shots_a_shard, draw)


def open_shards(folder: Path) -> list[Shard]:
    """All complete shards rendered so far."""
    return [Shard(*arrays) for arrays in drawn_shards.open_shards(folder, Shard._fields)]


def render_clip(seed: int, n_frames: int, size: int, split: Split = "train") -> Shard:
    """Render one shot at network size: frames (T, size, size, 3), masks (T, N, size, size / 8), areas (T, N, 2)."""
    import cv2
    from PIL import Image

    rng = np.random.default_rng([seed, 17])
    spec = sample_shot(seed, split)
    fps = RATES_FPS[rng.integers(len(RATES_FPS))]
    start_s = rng.uniform(0, max(spec.duration_s - n_frames / fps, 0.1))
    frames = np.zeros((n_frames, size, size, 3), np.uint8)
    masks = np.zeros((n_frames, MAX_OBJECTS, size, size // 8), np.uint8)
    areas = np.zeros((n_frames, MAX_OBJECTS, 2), np.float32)
    for t, frame in enumerate(render_shot(spec, n_frames, CLIP_WIDTH, CLIP_HEIGHT, fps, start_s)):
        frames[t] = np.asarray(Image.fromarray(frame.rgb).resize((size, size)))
        for n, (visible, amodal) in enumerate(
            zip(frame.visible[:MAX_OBJECTS], frame.amodal[:MAX_OBJECTS], strict=True)
        ):
            covered = cv2.resize(visible.view(np.uint8) * 255, (size, size), interpolation=cv2.INTER_AREA)
            masks[t, n] = np.packbits(covered >= 128, axis=-1, bitorder="little")
            areas[t, n] = visible.mean(), visible.sum() / max(amodal.sum(), 1)
    return Shard(frames, masks, areas)


def unpack_masks(packed: np.ndarray) -> np.ndarray:
    """(..., size, size / 8) bytes -> (..., size, size) bool."""
    return np.unpackbits(packed, axis=-1, bitorder="little").view(np.bool_)
