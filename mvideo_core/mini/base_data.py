"""World clips for the mini base: drawn once to disk with two captions each, read back memory-mapped.

A shard is three files of S clips: `frames-train-00000.npy` uint8 (S, 33, 64, 96, 3); `masks-...npy` uint8 (S, 33, 64,
12), what is visible of all objects together, 8 pixels to a byte, little-endian bits; `texts-...json`, one `ClipTexts`
per clip. A shot gives two clips, one from each half; a clip gives two windows of 17 frames that share a frame, each
with a caption of its own in the motion captioner's wording. Frames are drawn three times larger and shrunk by area.

Legend: S clips, T frames, N objects, H, W.
"""

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.captioning.base import CaptionInput
from mvideo_core.captioning.motion import MotionCaptioner
from mvideo_core.world import ShotSpec, WorldFrame, describe, sample_shot
from mvideo_core.world.render import MIN_AREA_FRAC, MIN_VISIBLE_FRAC, render_times
from mvideo_core.world.spec import Split

log = logging.getLogger(__name__)

HEIGHT, WIDTH, FPS = 64, 96, 8.0
WINDOW_FRAMES = 17
CLIP_FRAMES = 2 * WINDOW_FRAMES - 1
WINDOWS = (0, WINDOW_FRAMES - 1)
"""First frames of a clip's two windows."""
OVERSIZE = 3
"""Drawn this much larger, then shrunk by area."""
SOURCE_WIDTH = 720
"""The width at which the world's grain counts as one level per pixel; smaller frames average it away."""
SHOTS_A_SHARD = 100


class ClipTexts(NamedTuple):
    """Captions of one clip.

    Attributes:
        seed: of the shot.
        plain: colours, classes, actions, scene and camera of the whole shot (`world.describe`).
        motion: one per window, from the boxes seen in it.
    """

    seed: int
    plain: str
    motion: list[str]


class Shard(NamedTuple):
    """One shard; the arrays are memory-mapped."""

    frames_STHWC: np.ndarray
    masks_STHW8: np.ndarray
    texts: list[ClipTexts]


class Clips:
    """All whole shards of a folder as one list of windows of WINDOW_FRAMES frames."""

    def __init__(self, folder: Path, split: Split = "train"):
        self.shards = open_shards(folder, split)
        self._firsts = np.cumsum([0] + [len(shard.texts) for shard in self.shards])

    def __len__(self) -> int:
        return int(self._firsts[-1]) * len(WINDOWS)

    def __getitem__(self, index: int) -> np.ndarray:
        """Window `index`, (17, 64, 96, 3) uint8, a view into the file."""
        shard, clip, window = self._place(index)
        first = WINDOWS[window]
        return shard.frames_STHWC[clip, first : first + WINDOW_FRAMES]

    def masks(self, index: int) -> np.ndarray:
        """The objects of window `index`, (17, 64, 96) bool."""
        shard, clip, window = self._place(index)
        first = WINDOWS[window]
        packed = shard.masks_STHW8[clip, first : first + WINDOW_FRAMES]
        return np.unpackbits(packed, axis=-1, bitorder="little").view(np.bool_)

    def texts(self, index: int) -> tuple[str, str]:
        """(plain, motion) of window `index`."""
        shard, clip, window = self._place(index)
        return shard.texts[clip].plain, shard.texts[clip].motion[window]

    def _place(self, index: int) -> tuple[Shard, int, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        clip, window = divmod(index, len(WINDOWS))
        shard = int(np.searchsorted(self._firsts, clip, side="right")) - 1
        return self.shards[shard], clip - int(self._firsts[shard]), window


def render_clips(folder: Path, n_shots: int, split: Split = "train", shots_a_shard: int = SHOTS_A_SHARD) -> None:
    """Draws shots 0 .. n_shots - 1; shards that exist are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, n_shots, shots_a_shard):
        name = f"{split}-{first // shots_a_shard:05d}"
        if (folder / f"texts-{name}.json").exists():
            continue
        seeds = range(first, min(first + shots_a_shard, n_shots))
        clips = [clip for seed in seeds for clip in render_shot_clips(seed, split)]
        _replace(folder / f"frames-{name}.npy", np.stack([frames for frames, _, _ in clips]))
        _replace(folder / f"masks-{name}.npy", np.stack([masks for _, masks, _ in clips]))
        part = folder / f"texts-{name}.json.part"
        part.write_text(json.dumps([texts._asdict() for _, _, texts in clips], indent=0), encoding="utf-8")
        part.rename(folder / f"texts-{name}.json")  # comes last: its presence means the shard is whole
        log.info("drew %s shots %d to %d", split, first, seeds[-1])


def open_shards(folder: Path, split: Split = "train") -> list[Shard]:
    """All whole shards drawn so far."""
    shards = []
    for path in sorted(folder.glob(f"texts-{split}-*.json")):
        texts = [ClipTexts(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
        name = path.stem.removeprefix("texts-")
        arrays = [np.load(folder / f"{kind}-{name}.npy", mmap_mode="r") for kind in ("frames", "masks")]
        shards.append(Shard(arrays[0], arrays[1], texts))
    return shards


def render_shot_clips(seed: int, split: Split) -> list[tuple[np.ndarray, np.ndarray, ClipTexts]]:
    """Two clips of one shot, one from each half: frames (33, 64, 96, 3), packed masks (33, 64, 12), texts."""
    rng = np.random.default_rng([seed, 29])
    spec = sample_shot(seed, split)
    # averaged over the source's pixels as it would be in a clip of the pipeline
    spec = dataclasses.replace(spec, grain=spec.grain * OVERSIZE * WIDTH / SOURCE_WIDTH)
    room_s = max(spec.duration_s - CLIP_FRAMES / FPS, 0.2)
    starts_s = [rng.uniform(0, room_s / 2), rng.uniform(room_s / 2, room_s)]
    times_s = [start_s + t / FPS for start_s in starts_s for t in range(CLIP_FRAMES)]
    frames = list(render_times(spec, times_s, OVERSIZE * WIDTH, OVERSIZE * HEIGHT))
    return [_clip(spec, frames[:CLIP_FRAMES]), _clip(spec, frames[CLIP_FRAMES:])]


def motion_caption(spec: ShotSpec, frames: Sequence[WorldFrame]) -> str:
    """What the motion captioner says of true tracks; objects too small or too hidden to be found are left out."""
    height, width = frames[0].rgb.shape[:2]
    areas_NT = np.stack([frame.visible.sum(axis=(1, 2)) for frame in frames], axis=1).astype(np.float64)
    whole_NT = np.stack([frame.amodal.sum(axis=(1, 2)) for frame in frames], axis=1)
    boxes_NT4 = np.stack([frame.boxes() for frame in frames], axis=1)
    lost_NT = (areas_NT < MIN_AREA_FRAC * width * height) | (areas_NT < MIN_VISIBLE_FRAC * whole_NT)
    boxes_NT4[lost_NT], areas_NT[lost_NT] = np.nan, 0
    labels = tuple(actor.kind for actor in spec.actors)
    return MotionCaptioner.tiny().tell(
        CaptionInput(str(spec.seed), width, height, FPS, labels=labels, boxes_NT4=boxes_NT4, areas_NT=areas_NT)
    )


def _clip(spec: ShotSpec, frames: Sequence[WorldFrame]) -> tuple[np.ndarray, np.ndarray, ClipTexts]:
    import cv2

    size = (WIDTH, HEIGHT)
    small = [cv2.resize(frame.rgb, size, interpolation=cv2.INTER_AREA) for frame in frames]
    covered = [np.where(frame.visible.any(axis=0), 255, 0).astype(np.uint8) for frame in frames]
    masks = np.stack([cv2.resize(cover, size, interpolation=cv2.INTER_AREA) >= 128 for cover in covered])
    motion = [motion_caption(spec, frames[first : first + WINDOW_FRAMES]) for first in WINDOWS]
    return np.stack(small), np.packbits(masks, axis=-1, bitorder="little"), ClipTexts(spec.seed, describe(spec), motion)


def _replace(path: Path, array: np.ndarray) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.save(file, array)
    part.rename(path)
