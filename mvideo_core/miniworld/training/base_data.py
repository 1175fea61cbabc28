"""World clips for the mini base: rendered once to disk with two captions each, read memory-mapped.

A shard is three files of S clips: `frames-train-00000.npy` uint8 (S, 33, H, W, 3), 64x96 px by default;
`masks-...npy` uint8 (S, 33, H, W / 8), union of the objects' visible masks, 8 pixels per byte, little-endian bits;
`texts-...json`, one `ClipTexts` per clip. A shot gives two clips, one from each half; a clip gives two windows of 17
frames that share a frame, each with its own caption in the motion captioner's wording. Frames are rendered three times
larger and downscaled by area.

Legend: S clips, T frames, N objects, H, W.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.base.errors import ConfigError
from mvideo_core.miniworld.training import drawn_shards
from mvideo_core.miniworld.training.world_clips import (
    HEIGHT,
    WIDTH,
    clip_shot,
    large_frames,
    motion_caption,
    shrink,
    true_tracks,
)
from mvideo_core.miniworld.world import ShotSpec, WorldFrame, describe
from mvideo_core.miniworld.world.spec import Split

FPS = 8.0
WINDOW_FRAMES = 17
CLIP_FRAMES = 2 * WINDOW_FRAMES - 1
WINDOWS = (0, WINDOW_FRAMES - 1)
"""First frames of a clip's two windows."""
SHOTS_A_SHARD = 100
KINDS = ("frames", "masks", drawn_shards.TEXTS)


class ClipTexts(NamedTuple):
    """Captions of one clip.

    Attributes:
        seed: seed of the shot.
        plain: colors, classes, actions, scene and camera of the whole shot (`world.describe`).
        motion: one per window, from the boxes seen in it.
    """

    seed: int
    plain: str
    motion: list[str]


class Shard(NamedTuple):
    """One shard; arrays are memory-mapped."""

    frames_STHWC: np.ndarray
    masks_STHW8: np.ndarray
    texts: list[ClipTexts]


class Clips:
    """All complete shards of a folder as one list of windows of WINDOW_FRAMES frames."""

    def __init__(self, folder: Path, split: Split = "train"):
        self.shards = open_shards(folder, split)
        self._firsts = np.cumsum([0] + [len(shard.texts) for shard in self.shards])

    def __len__(self) -> int:
        return int(self._firsts[-1]) * len(WINDOWS)

    def __getitem__(self, index: int) -> np.ndarray:
        """Window `index`, (17, H, W, 3) uint8, a view into the file."""
        shard, clip, window = self._place(index)
        first = WINDOWS[window]
        return shard.frames_STHWC[clip, first : first + WINDOW_FRAMES]

    def masks(self, index: int) -> np.ndarray:
        """Object mask of window `index`, (17, H, W) bool."""
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


def render_clips(
    folder: Path, n_shots: int, split: Split = "train", shots_a_shard: int = SHOTS_A_SHARD,
    size_hw: tuple[int, int] = (HEIGHT, WIDTH),
) -> None:  # fmt: skip
    """Render shots 0 .. n_shots - 1 at `size_hw` px; existing shards are kept.

    Raises:
        ConfigError: the folder has clips of another size.
    """

    def draw(seed: int) -> list[tuple[np.ndarray, np.ndarray, ClipTexts]]:
        return render_shot_clips(seed, split, size_hw)

    for shard in open_shards(folder, split):
        if (found := shard.frames_STHWC.shape[2:4]) != size_hw:
            raise ConfigError(
                f"{folder}: has clips of {found[0]}x{found[1]} px, but {size_hw[0]}x{size_hw[1]} are required; use "
                "a separate folder for each size (--out)"
            )
    drawn_shards.draw_shards(folder, KINDS, range(n_shots), shots_a_shard, draw, split)


def open_shards(folder: Path, split: Split = "train") -> list[Shard]:
    """All complete shards rendered so far."""
    shards = drawn_shards.open_shards(folder, KINDS, split)
    return [Shard(frames, masks, [ClipTexts(**one) for one in texts]) for frames, masks, texts in shards]


def render_shot_clips(
    seed: int, split: Split, size_hw: tuple[int, int] = (HEIGHT, WIDTH)
) -> list[tuple[np.ndarray, np.ndarray, ClipTexts]]:
    """Render two clips of one shot, one from each half: frames (33, H, W, 3), packed masks (33, H, W / 8), texts."""
    rng = np.random.default_rng([seed, 29])
    spec = clip_shot(seed, split, size_hw[1])
    room_s = max(spec.duration_s - CLIP_FRAMES / FPS, 0.2)
    starts_s = [rng.uniform(0, room_s / 2), rng.uniform(room_s / 2, room_s)]
    times_s = [start_s + t / FPS for start_s in starts_s for t in range(CLIP_FRAMES)]
    frames = large_frames(spec, times_s, size_hw)
    return [_clip(spec, frames[:CLIP_FRAMES], size_hw), _clip(spec, frames[CLIP_FRAMES:], size_hw)]


def _clip(
    spec: ShotSpec, frames: Sequence[WorldFrame], size_hw: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, ClipTexts]:
    small = np.stack([shrink(frame.rgb, size_hw) for frame in frames])
    covered = [np.where(frame.visible.any(axis=0), 255, 0).astype(np.uint8) for frame in frames]
    masks = np.stack([shrink(cover, size_hw) >= 128 for cover in covered])
    motion = [motion_caption(spec, true_tracks(frames[first : first + WINDOW_FRAMES]), FPS) for first in WINDOWS]
    return small, np.packbits(masks, axis=-1, bitorder="little"), ClipTexts(spec.seed, describe(spec), motion)
