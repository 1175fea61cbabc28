"""A source video: three to five shots, joined by hard cuts (60%), dissolves (20%) and fades through black (20%).

Four in five shots last 10 to 14 s. The others last only 2.5 to 6 s, and the pipeline must drop them. Sizes range from
640 x 360 to 1280 x 720, frame rates from 24 to 30 fps. By default, a quarter of the held-out shots have an object of an
unseen class.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from mvideo_core.miniworld.world.render import WorldFrame, render_shot
from mvideo_core.miniworld.world.sample import sample_shot
from mvideo_core.miniworld.world.spec import ShotSpec, Split

CutKind = Literal["hard", "dissolve", "fade"]

FORMATS: tuple[tuple[int, int, Fraction, float], ...] = (
    (640, 360, Fraction(25), 0.3),
    (854, 480, Fraction(30), 0.25),
    (640, 480, Fraction(30000, 1001), 0.12),
    (960, 540, Fraction(24), 0.13),
    (1280, 720, Fraction(24), 0.1),
    (1280, 720, Fraction(30000, 1001), 0.1),
)
"""(width, height, frames per second, weight)."""


@dataclass(frozen=True)
class Join:
    """Transition between two shots.

    Attributes:
        frames: length of the transition; 0 for a hard cut. A dissolve overlaps the two shots by that much; a fade
            darkens the last half of it and brightens the rest, with no overlap.
    """

    kind: CutKind
    frames: int


@dataclass(frozen=True)
class SourceSpec:
    """Specification of one video.

    Attributes:
        name: file stem; letters, digits, "_".
        lengths: frames of each shot, including its parts in transitions.
        joins: one less than shots.
    """

    name: str
    seed: int
    split: Split
    width: int
    height: int
    fps: Fraction
    shots: tuple[ShotSpec, ...]
    lengths: tuple[int, ...]
    joins: tuple[Join, ...]

    def starts(self) -> list[int]:
        """Video frame at which each shot starts to be visible."""
        out = [0]
        for length, join in zip(self.lengths, self.joins, strict=False):
            out.append(out[-1] + length - (join.frames if join.kind == "dissolve" else 0))
        return out

    @property
    def n_frames(self) -> int:
        """Total number of frames."""
        return self.starts()[-1] + self.lengths[-1]


def sample_source(
    seed: int, split: Split = "train", unseen_frac: float = 0.0, n_shots: int | None = None
) -> SourceSpec:
    """Sample the source video of a seed.

    Args:
        unseen_frac: fraction of shots that feature a class outside COCO.
        n_shots: None = 3 to 5.
    """
    rng = random.Random(f"mini-world-source/{split}/{seed}")
    width, height, fps = rng.choices([one[:3] for one in FORMATS], [one[3] for one in FORMATS])[0]
    count = n_shots or rng.randint(3, 5)
    joins = tuple(_join(rng, fps) for _ in range(count - 1))
    shots, lengths = [], []
    for index in range(count):
        seconds = rng.uniform(2.5, 6.0) if rng.random() < 0.2 else rng.uniform(10.0, 14.0)
        length = round(seconds * fps)
        unseen = rng.random() < unseen_frac
        shots.append(sample_shot(1000 + seed * 8 + index, split, unseen, length / float(fps), width / height))
        lengths.append(length)
    name = f"mini_{split}_{seed:05d}"
    return SourceSpec(name, seed, split, width, height, fps, tuple(shots), tuple(lengths), joins)


def _join(rng: random.Random, fps: Fraction) -> Join:
    kind: CutKind = rng.choices(("hard", "dissolve", "fade"), (0.6, 0.2, 0.2))[0]  # type: ignore[assignment]
    seconds = {"hard": 0.0, "dissolve": rng.uniform(0.4, 1.2), "fade": rng.uniform(0.7, 1.6)}[kind]
    return Join(kind, round(seconds * fps) // 2 * 2)


@dataclass(frozen=True)
class SourceFrame:
    """One frame of the video.

    Attributes:
        rgb: the frame in the file.
        shots: (shot index, frame of that shot, its rendering) of each visible shot: two in a dissolve.
    """

    rgb: np.ndarray
    shots: tuple[tuple[int, int, WorldFrame], ...]


def render_source(spec: SourceSpec) -> Iterator[SourceFrame]:
    """All frames in order; at most two shots are rendered at a time."""
    starts = spec.starts()
    open_: dict[int, Iterator[WorldFrame]] = {}
    for frame in range(spec.n_frames):
        showing = []
        for index, start in enumerate(starts):
            local = frame - start
            if not 0 <= local < spec.lengths[index]:
                open_.pop(index, None)
                continue
            if index not in open_:
                shot, length = spec.shots[index], spec.lengths[index]
                open_[index] = render_shot(shot, length, spec.width, spec.height, float(spec.fps))
            showing.append((index, local, next(open_[index])))
        yield SourceFrame(_mix_shots(spec, showing), tuple(showing))


def _mix_shots(spec: SourceSpec, showing: list[tuple[int, int, WorldFrame]]) -> np.ndarray:
    import cv2

    if len(showing) == 2:
        index, local, after = showing[1]
        weight = (local + 1) / (spec.joins[index - 1].frames + 1)
        return cv2.addWeighted(showing[0][2].rgb, 1 - weight, after.rgb, weight, 0.0)
    (index, local, one) = showing[0]
    light = _light(spec, index, local)
    return one.rgb if light >= 1 else cv2.convertScaleAbs(one.rgb, alpha=light)


def _light(spec: SourceSpec, index: int, local: int) -> float:
    """Brightness: 1 outside fades, down to 0 in the middle of one."""
    light = 1.0
    if index > 0 and spec.joins[index - 1].kind == "fade":
        light = min(light, local / (spec.joins[index - 1].frames // 2))
    if index < len(spec.joins) and spec.joins[index].kind == "fade":
        left = spec.lengths[index] - 1 - local
        light = min(light, left / (spec.joins[index].frames // 2))
    return light


def cut_frames(spec: SourceSpec) -> list[tuple[CutKind, int, int]]:
    """(kind, first mixed frame, first clean frame of the next shot) of every join; equal for a hard cut."""
    out: list[tuple[CutKind, int, int]] = []
    for join, start in zip(spec.joins, itertools.islice(spec.starts(), 1, None), strict=True):
        half = join.frames // 2
        if join.kind == "dissolve":
            out.append((join.kind, start, start + join.frames))
        else:
            out.append((join.kind, start - half, start + half))
    return out
