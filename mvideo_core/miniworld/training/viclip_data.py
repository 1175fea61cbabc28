"""Text-video pairs for the mini ViCLIP: eight frames of a world shot, true and wrong captions, patch labels.

A shard is three files of S clips: `frames-train-00000.npy` uint8 (S, 8, 64, 96, 3); `patches-...npy` uint8 (S, 8, 8,
12, 2), class and color of the object covering most of each 8x8-pixel patch (0 = none, else index in CLASSES or
COLORS, plus 1); `texts-...json`, one `PairTexts` per clip. A shot gives a clip of two seconds and one of 2 to 8.
`base_data` has pairs too, but windows of one length without a class per object, so these are rendered separately.

Legend: S clips, T frames, N objects, H, W; h, w patches.
"""

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.miniworld.training import drawn_shards
from mvideo_core.miniworld.training.world_clips import (
    HEIGHT,
    OVERSIZE,
    WIDTH,
    clip_shot,
    large_frames,
    motion_caption,
    shrink,
    true_tracks,
)
from mvideo_core.miniworld.world import ActorSpec, ShotSpec, WorldFrame, coco_classes, describe, kind_of
from mvideo_core.miniworld.world.captions import CAMERA
from mvideo_core.miniworld.world.kinds import PALETTE
from mvideo_core.miniworld.world.scenery import SCENES
from mvideo_core.miniworld.world.spec import Split

FRAMES, PATCH = 8, 8
SPANS_S = (2.0, 4.0, 6.0, 8.0)
"""Lengths of a shot's second clip; the first clip always has the shortest, that of the mini base."""
SHOTS_A_SHARD = 100
KINDS = ("frames", "patches", drawn_shards.TEXTS)
CLASSES = coco_classes()
COLORS = tuple(PALETTE)
WRONG = ("class", "color", "action", "scene", "camera")
COVERED_FRAC = 0.25
"""Fraction of a patch an object must cover to be its label."""


class PairTexts(NamedTuple):
    """Captions of one clip.

    Attributes:
        seed: seed of the shot.
        plain: the world's sentence about the whole shot.
        motion: the motion captioner's text for the clip.
        wrong: captions of the same wording with one thing changed, by what was changed (WRONG); some are missing.
        wrong_motion: the motion captioner's text with one class changed; "" if there is none.
    """

    seed: int
    plain: str
    motion: str
    wrong: dict[str, list[str]]
    wrong_motion: str


class PairShard(NamedTuple):
    """One shard; the arrays are memory-mapped."""

    frames_STHWC: np.ndarray
    patches_SThw2: np.ndarray
    texts: list[PairTexts]


def draw_pairs(folder: Path, n_shots: int, split: Split = "train", first_shot: int = 0) -> None:
    """Render shots `first_shot` .. n_shots - 1 of the split; existing shards are kept."""

    def draw(seed: int) -> list[tuple[np.ndarray, np.ndarray, PairTexts]]:
        return draw_shot(seed, split)

    drawn_shards.draw_shards(folder, KINDS, range(first_shot, n_shots), SHOTS_A_SHARD, draw, split)


def open_pairs(folder: Path, split: Split = "train") -> list[PairShard]:
    """All complete shards rendered so far."""
    shards = drawn_shards.open_shards(folder, KINDS, split)
    return [PairShard(frames, patches, [PairTexts(**one) for one in texts]) for frames, patches, texts in shards]


def draw_shot(seed: int, split: Split) -> list[tuple[np.ndarray, np.ndarray, PairTexts]]:
    """Render two clips of one shot: frames (8, 64, 96, 3), patches (8, 8, 12, 2), texts."""
    rng = random.Random(f"viclip/{split}/{seed}")
    spec = clip_shot(seed, split)
    spans_s = [SPANS_S[0], rng.choice(SPANS_S)]
    starts_s = [rng.uniform(0, spec.duration_s - span_s) for span_s in spans_s]
    times_s = [
        start_s + (t + 0.5) / FRAMES * span_s for start_s, span_s in zip(starts_s, spans_s, strict=True)
        for t in range(FRAMES)
    ]  # fmt: skip
    frames = large_frames(spec, times_s)
    clips = frames[:FRAMES], frames[FRAMES:]
    return [_pair(spec, clip, FRAMES / span_s, rng) for clip, span_s in zip(clips, spans_s, strict=True)]


def wrong_captions(spec: ShotSpec, shown: Sequence[int], rng: random.Random) -> dict[str, list[str]]:
    """Captions that are wrong in exactly one thing, with the same grammar.

    Args:
        spec: the shot.
        shown: indices of the actors that can be distinguished in the clip; only these are changed.
    """
    found: dict[str, list[str]] = {kind: [] for kind in WRONG}
    for _ in range(3 if shown else 0):
        index = rng.choice(shown)
        actor = spec.actors[index]
        found["class"].append(describe(_with(spec, index, other_class(spec, actor, rng))))
        colors = [word for word in kind_of(actor.kind).colors if word != actor.look.word]
        if colors:
            look = dataclasses.replace(actor.look, word=rng.choice(colors))
            found["color"].append(describe(_with(spec, index, dataclasses.replace(actor, look=look))))
        actions = [one for one in kind_of(actor.kind).actions if one.name != actor.action]
        if actions:
            acting = change_action(actor, actor.kind, rng.choice(actions).name, rng)
            found["action"].append(describe(_with(spec, index, acting)))
    words = rng.choice([scene.words for scene in SCENES.values() if scene.words != spec.scene.words])
    found["scene"].append(describe(dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, words=words))))
    camera = rng.choice([kind for kind in CAMERA if kind != spec.camera.kind])
    found["camera"].append(describe(dataclasses.replace(spec, camera=dataclasses.replace(spec.camera, kind=camera))))
    true = describe(spec)
    return {kind: [text for text in texts if text != true] for kind, texts in found.items()}


def other_class(spec: ShotSpec, actor: ActorSpec, rng: random.Random) -> ActorSpec:
    """The actor with a class that is not in the shot, and an action and color valid for that class."""
    present = {one.kind for one in spec.actors}
    kinds = [kind_of(name) for name in CLASSES if name not in present]
    kind = rng.choice([one for one in kinds if not one.scenes or spec.scene.kind in one.scenes])
    word = actor.look.word if actor.look.word in kind.colors else rng.choice(kind.colors)
    actions = [action.name for action in kind.actions]
    action = actor.action if actor.action in actions else rng.choice(actions)
    look = dataclasses.replace(actor.look, word=word)
    return change_action(dataclasses.replace(actor, kind=kind.name, look=look), kind.name, action, rng)


def change_action(actor: ActorSpec, kind: str, action: str, rng: random.Random) -> ActorSpec:
    """The actor with that action, traveling only if the action does: nothing is "parked to the left"."""
    speed = next(one.speed for one in kind_of(kind).actions if one.name == action)
    if bool(speed) == bool(actor.path.vx):
        return dataclasses.replace(actor, action=action)
    path = dataclasses.replace(actor.path, vx=rng.choice((-1.0, 1.0)) * speed)
    return dataclasses.replace(actor, action=action, path=path)


def _with(spec: ShotSpec, index: int, actor: ActorSpec) -> ShotSpec:
    return dataclasses.replace(spec, actors=(*spec.actors[:index], actor, *spec.actors[index + 1 :]))


def _pair(
    spec: ShotSpec, frames: Sequence[WorldFrame], fps: float, rng: random.Random
) -> tuple[np.ndarray, np.ndarray, PairTexts]:
    small = np.stack([shrink(frame.rgb) for frame in frames])
    tracks = true_tracks(frames)
    labels = [actor.kind for actor in spec.actors]
    shown = [n for n, lost_T in enumerate(tracks.lost_NT) if (~lost_T).sum() > FRAMES // 2]
    wrong_motion = ""
    if shown:
        index = rng.choice(shown)
        swapped = [*labels[:index], other_class(spec, spec.actors[index], rng).kind, *labels[index + 1 :]]
        wrong_motion = motion_caption(spec, tracks, fps, swapped)
    motion = motion_caption(spec, tracks, fps)
    texts = PairTexts(spec.seed, describe(spec), motion, wrong_captions(spec, shown, rng), wrong_motion)
    return small, _patches(spec, frames), texts


def _patches(spec: ShotSpec, frames: Sequence[WorldFrame]) -> np.ndarray:
    side = OVERSIZE * PATCH
    codes = np.array([(CLASSES.index(a.kind) + 1, COLORS.index(a.look.word) + 1) for a in spec.actors], np.uint8)
    found = np.zeros((len(frames), HEIGHT // PATCH, WIDTH // PATCH, 2), np.uint8)
    for t, frame in enumerate(frames):
        blocks = frame.visible.reshape(len(codes), HEIGHT // PATCH, side, WIDTH // PATCH, side)
        share_Nhw = blocks.mean(axis=(2, 4))
        covered = share_Nhw.max(axis=0) >= COVERED_FRAC
        found[t][covered] = codes[share_Nhw.argmax(axis=0)[covered]]
    return found
