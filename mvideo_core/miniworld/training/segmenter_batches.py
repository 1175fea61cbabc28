"""Training batches from rendered shards: prompted stills and short prompted clips.

Shape letters: B clips, T frames, M objects (over all clips of the batch), S image side in px.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mvideo_core.miniworld.training.segmenter_world import Shard, unpack_masks
from mvideo_core.miniworld.world.render import MIN_AREA_FRAC, MIN_VISIBLE_FRAC

if TYPE_CHECKING:
    import torch

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
LONE_SKIPPED_FRAC = 0.5
"""For clips with a single object: an object with a neighbor teaches the model to distinguish the two."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips with their prompted objects; a still is a clip of one frame.

    Attributes:
        images: normalized fp32 (T, B, 3, S, S).
        clip_of_object: int64 (M), clip index of each object.
        boxes_xyxy: fp32 (M, 4), jittered prompt on frame 0, px of the S x S image.
        coverage: fp32 (T, M, S / 2, S / 2), visible part of each cell in [0, 1].
    """

    images: "torch.Tensor"
    clip_of_object: "torch.Tensor"
    boxes_xyxy: "torch.Tensor"
    coverage: "torch.Tensor"

    def to(self, device: str) -> "Batch":
        """Move the batch to a device."""
        return Batch(
            self.images.to(device), self.clip_of_object.to(device), self.boxes_xyxy.to(device), self.coverage.to(device)
        )


def draw_batch(
    shards: list[Shard],
    rng: np.random.Generator,
    n_clips: int,
    n_frames: int,
    max_objects: int,
    size: int,
    jitter: float = 0.06,
) -> Batch:
    """Sample a batch of `n_clips` clips, each from a different random shot.

    Args:
        max_objects: maximum prompted objects in the batch; bounds memory.
        size: image side, px; at most that of the shards.
        jitter: standard deviation of the error of box edges, as a fraction of the box side.
    """
    import torch

    images: list[np.ndarray] = []
    owners: list[int] = []
    boxes: list[np.ndarray] = []
    coverage: list[np.ndarray] = []
    while len(images) < n_clips:
        frames, masks = _draw_clip(shards, rng, n_frames)
        if not masks.shape[1] or (n_frames > 1 and masks.shape[1] == 1 and rng.random() < LONE_SKIPPED_FRAC):
            continue
        scale = frames.shape[1] / size
        if rng.random() < 0.5:
            frames, masks = frames[:, :, ::-1], masks[..., ::-1]
        for n in range(masks.shape[1]):
            if len(owners) < max_objects:
                owners.append(len(images))
                boxes.append(jitter_box(tight_box(masks[0, n]) / scale, rng, jitter, size))
                coverage.append(shrink(masks[:, n].view(np.uint8) * 255, size // 2).astype(np.float32) / 255)
        images.append(normalize(shrink(frames, size), rng))
    return Batch(
        torch.from_numpy(np.stack(images, 1)),
        torch.tensor(owners),
        torch.from_numpy(np.stack(boxes)),
        torch.from_numpy(np.stack(coverage, 1)),
    )


def tight_box(mask_HW: np.ndarray) -> np.ndarray:
    """Half-open xyxy box of a non-empty bool mask, float32."""
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def jitter_box(box: np.ndarray, rng: np.random.Generator, jitter: float, side: int) -> np.ndarray:
    """Move every box edge by a normal error (at most 2.5 standard deviations), inside the image."""
    size = np.tile(box[2:] - box[:2], 2)
    error = np.clip(rng.normal(0, jitter, 4), -2.5 * jitter, 2.5 * jitter) * size
    return np.clip(box + error, 0, side).astype(np.float32)


def shrink(images: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 square images (T, S, S) or (T, S, S, 3) by area averaging."""
    import cv2

    if images.shape[1] == size:
        return images
    side = (size, size)
    return np.stack([cv2.resize(np.ascontiguousarray(image), side, interpolation=cv2.INTER_AREA) for image in images])


def normalize(frames_THWC: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """uint8 frames -> normalized float32 (T, 3, H, W); with a generator, also random gain and color cast."""
    scale = np.ones(3, np.float32)
    shift = np.zeros(3, np.float32)
    if rng is not None:
        scale = (rng.uniform(0.8, 1.2) * rng.uniform(0.9, 1.1, 3)).astype(np.float32)
        shift = rng.uniform(-0.08, 0.08, 3).astype(np.float32)
    pixels = frames_THWC.astype(np.float32) * (scale / 255) + shift
    pixels = (pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _draw_clip(shards: list[Shard], rng: np.random.Generator, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, S, S, 3) and the masks (T, N, S, S) of the objects that can be prompted on the first frame."""
    shard = shards[rng.integers(len(shards))]
    shot = int(rng.integers(len(shard.frames)))
    length = shard.frames.shape[1]
    widest = (length - 1) // max(n_frames - 1, 1)
    stride = 1 if rng.random() < 0.6 else int(rng.integers(1, widest + 1))  # mostly the pipeline's frame rate
    start = int(rng.integers(length - (n_frames - 1) * stride))
    order = start + stride * np.arange(n_frames)
    if rng.random() < 0.5:
        order = order[::-1]
    areas = shard.areas[shot, order[0]]
    objects = np.flatnonzero((areas[:, 0] >= MIN_AREA_FRAC) & (areas[:, 1] >= MIN_VISIBLE_FRAC))
    frames = shard.frames[shot][order]
    masks = unpack_masks(shard.masks[shot][order][:, objects])
    return frames, masks[:, [n for n in range(len(objects)) if masks[0, n].any()]]
