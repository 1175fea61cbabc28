"""Batches for the mini ViCLIP: frames, patch labels, a true caption and a wrong one, as tensors.

Legend: B videos, T frames, H, W, L tokens, K tokens kept.
"""

import random
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mvideo_core.evaluation.networks.clip_tokenizer import END, START, ClipTokenizer
from mvideo_core.miniworld.training.viclip_data import CLASSES, FRAMES, PATCH, PairTexts, open_pairs
from mvideo_core.miniworld.training.viclip_words import generalize, mirror
from mvideo_core.miniworld.training.world_clips import HEIGHT, WIDTH
from mvideo_core.miniworld.world.spec import Split

WORDINGS = ((0.45, "plain"), (0.40, "motion"), (0.15, "both"))
WRONG_CAPTIONS = 1
GENERAL_FRAC = 0.06
"""Fraction of captions in which one class is replaced by "animal" or "object"."""


class Batch(NamedTuple):
    """One step's input.

    Attributes:
        frames: uint8 (B, T, 3, side, side), whole frames squeezed to the network's square.
        patches: uint8 (B, T, h, w, 2), class and color, 0 = none.
        tokens: int64 (B, L), the true caption.
        plain: int64 (B, L), the world's sentence.
        wrong: int64 (B, WRONG_CAPTIONS, L).
    """

    frames: Tensor
    patches: np.ndarray
    tokens: Tensor
    plain: Tensor
    wrong: Tensor


class Pairs:
    """All rendered pairs of a split."""

    def __init__(self, folder: Path, side_px: int, split: Split = "train"):
        self.side_px = side_px
        self._squeezed: dict[tuple[int, int], Tensor] = {}
        self.shards = open_pairs(folder, split)

    def __len__(self) -> int:
        """Number of shots."""
        return sum(len(shard.texts) // 2 for shard in self.shards)

    def squeeze(self, shot: int, half: int) -> Tensor:
        """uint8 (T, 3, side, side) of a clip, cached: half a gigabyte for 3,000 clips."""
        if (shot, half) not in self._squeezed:
            from mvideo_core.evaluation.networks.mini_viclip import square_frames

            self._squeezed[shot, half] = square_frames(np.array(self.clip(shot, half)[0]), self.side_px)
        return self._squeezed[shot, half]

    def clip(self, shot: int, half: int) -> tuple[np.ndarray, np.ndarray, PairTexts]:
        """Frames (T, H, W, 3), patches and texts of one of a shot's two clips."""
        for shard in self.shards:
            if 2 * shot < len(shard.texts):
                index = 2 * shot + half
                return shard.frames_STHWC[index], shard.patches_SThw2[index], shard.texts[index]
            shot -= len(shard.texts) // 2
        raise IndexError(shot)


def draw_batch(pairs: Pairs, tokenizer: ClipTokenizer, context: int, size: int, rng: random.Random) -> Batch:
    """Sample `size` clips of different shots, half of them mirrored, each with its captions."""
    rows = [_draw(pairs, shot, rng) for shot in rng.sample(range(len(pairs)), size)]
    tokens = [[tokens_of(tokenizer, text, context) for text in texts] for _, _, texts in rows]
    stacked = torch.from_numpy(np.stack([np.stack(one) for one in tokens]))
    frames, patches = torch.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])
    return Batch(frames, patches, stacked[:, 0], stacked[:, 1], stacked[:, 2:])


def patch_labels(patches_BThw2: np.ndarray, side: int) -> Tensor:
    """int64 (B, T * side * side, 2): the labels on the network's square grid, nearest patch."""
    rows = np.floor((np.arange(side) + 0.5) * (HEIGHT // PATCH) / side).astype(int)
    columns = np.floor((np.arange(side) + 0.5) * (WIDTH // PATCH) / side).astype(int)
    found = patches_BThw2[:, :, rows][:, :, :, columns]
    return torch.from_numpy(found.reshape(len(found), FRAMES * side * side, 2).astype(np.int64))


def choose_patches(labels_BN2: Tensor, count: int, draws: torch.Generator, favor: float = 5.0) -> Tensor:
    """(B, K) positions sampled without replacement; a patch with an object is `favor` times as likely."""
    weights = torch.where(labels_BN2[..., 0] > 0, favor, 1.0)
    # the largest u^(1/w) are a weighted sample (Efraimidis and Spirakis 2006)
    keys = torch.rand(weights.shape, generator=draws) ** (1 / weights)
    return keys.topk(count, dim=1).indices.sort(dim=1).values


def _draw(pairs: Pairs, shot: int, rng: random.Random) -> tuple[Tensor, np.ndarray, list[str]]:
    half = rng.randrange(2)
    frames, (_, patches, texts) = pairs.squeeze(shot, half), pairs.clip(shot, half)
    captions = captions_of(texts, rng)
    plain = texts.plain
    if rng.random() < 0.5:
        frames, patches = frames.flip(-1), patches[:, :, ::-1]
        captions, plain = [mirror(text) for text in captions], mirror(plain)
    return frames, patches, [captions[0], plain, *captions[1:]]


def captions_of(texts: PairTexts, rng: random.Random) -> list[str]:
    """The true caption in a random wording, then a wrong one in the same wording."""
    wording = rng.choices([name for _, name in WORDINGS], [weight for weight, _ in WORDINGS])[0]
    wrong = _draw_wrong(texts, wording, rng)
    true = {"plain": texts.plain, "motion": texts.motion, "both": f"{texts.plain} {texts.motion}"}[wording]
    if rng.random() < GENERAL_FRAC:
        named = [name for name in CLASSES if f" {name} " in true]
        true = generalize(true, rng.choice(named)) if named else true
    return [true, wrong]


def _draw_wrong(texts: PairTexts, wording: str, rng: random.Random) -> str:
    """A wrong caption; half of the time with a wrong class, which matters most."""
    turned = mirror(texts.motion if wording == "motion" else texts.plain)
    if wording == "motion":
        can_turn = turned != texts.motion
        return turned if not texts.wrong_motion or (can_turn and rng.random() < 0.25) else texts.wrong_motion
    tail = f" {texts.motion}" if wording == "both" else ""
    if texts.wrong["class"] and rng.random() < 0.5:
        return rng.choice(texts.wrong["class"]) + tail
    if turned != texts.plain and rng.random() < 0.15:
        return turned + tail
    return rng.choice(texts.wrong[rng.choice([kind for kind, found in texts.wrong.items() if found])]) + tail


def tokens_of(tokenizer: ClipTokenizer, text: str, context: int) -> np.ndarray:
    """Same as `tokenizer.tokens` for plain English, with a cache per word."""
    ids = [tokenizer.ids[START]]
    for word in re.findall(r"[a-z]+|[^\sa-z]+", text.lower()):
        if word not in _WORD_IDS:
            _WORD_IDS[word] = tokenizer.encode(word)
        ids += _WORD_IDS[word]
    ids = [*ids[: context - 1], tokenizer.ids[END]]
    row = np.zeros(context, np.int64)
    row[: len(ids)] = ids
    return row


_WORD_IDS: dict[str, list[int]] = {}
"""Cache for the world's tokenizer, the only one training uses."""
