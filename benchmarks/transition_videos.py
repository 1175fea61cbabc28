"""Short videos of the world, rendered small, for fitting and comparing the finders of transitions."""

import dataclasses
import random
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np

from mvideo_core.miniworld.world.source import Join, SourceFrame, SourceSpec, cut_frames, render_source, sample_source
from mvideo_core.miniworld.world.spec import Split

DRAWN_HEIGHT_PX = 180
SMALL = (128, 72)
"""Width and height of the frames that the cut stage searches."""
WIPE_S = (0.3, 1.5)

JoinKind = Literal["hard", "dissolve", "fade", "wipe"]
Finder = Literal["blends", "wipes"]


class Video(NamedTuple):
    """What is kept of a rendered video.

    Attributes:
        frames_THWC: small frames, uint8 BGR.
        joins: kind, first mixed frame and first clean frame of the next shot; equal for a hard cut.
    """

    fps: Fraction
    frames_THWC: np.ndarray
    joins: list[tuple[JoinKind, int, int]]


def draw_video(seed: int, split: Split, finder: Finder, shots: int, shot_s: float) -> Video:
    """Source video `seed` of a split, with shots of at most `shot_s` seconds.

    For "blends" it has the world's own joins: hard cuts, dissolves and fades. For "wipes", which the world lacks, every
    second join is a hard cut and the others replace one picture by the next along an edge, by turns from the left, from
    the top, around the middle and from the middle.
    """
    spec = _shorten(sample_source(seed, split, n_shots=shots), shot_s)
    if finder == "blends":
        return Video(spec.fps, _small_frames(spec, wipes=False), [*cut_frames(spec)])
    draw = random.Random(f"wipes/{split}/{seed}")
    joins = [
        Join("dissolve", round(draw.uniform(*WIPE_S) * spec.fps)) if (seed + at) % 2 else Join("hard", 0)
        for at in range(shots - 1)
    ]
    spec = dataclasses.replace(spec, joins=tuple(joins))
    named: list[tuple[JoinKind, int, int]] = [
        ("wipe" if kind == "dissolve" else kind, start, end) for kind, start, end in cut_frames(spec)
    ]
    return Video(spec.fps, _small_frames(spec, wipes=True), named)


def _shorten(spec: SourceSpec, shot_s: float) -> SourceSpec:
    longest = round(shot_s * spec.fps)
    width = round(DRAWN_HEIGHT_PX * spec.width / spec.height / 2) * 2
    lengths = tuple(min(length, longest) for length in spec.lengths)
    return dataclasses.replace(spec, width=width, height=DRAWN_HEIGHT_PX, lengths=lengths)


def _small_frames(spec: SourceSpec, wipes: bool) -> np.ndarray:
    import cv2

    frames = (_wipe(spec, frame) if wipes and len(frame.shots) == 2 else frame.rgb for frame in render_source(spec))
    small = [cv2.resize(frame, SMALL, interpolation=cv2.INTER_AREA)[..., ::-1] for frame in frames]
    return np.ascontiguousarray(np.stack(small))


def _wipe(spec: SourceSpec, frame: SourceFrame) -> np.ndarray:
    (_, _, before), (index, local, after) = frame.shots
    share = (local + 1) / (spec.joins[index - 1].frames + 1)
    return replace_part(before.rgb, after.rgb, share, index)


def replace_part(old_HWC: np.ndarray, new_HWC: np.ndarray, share: float, pattern: int) -> np.ndarray:
    """The old picture with a part replaced by the new one.

    Args:
        share: 0 leaves the old picture, 1 gives the new one.
        pattern: 0 from the left, 1 from the top, 2 around the middle, 3 from the middle, 4 as 0, ...
    """
    height, width = old_HWC.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    from_middle_y, from_middle_x = y / height - 0.5, x / width - 0.5
    turn_at = (
        x / width,
        y / height,
        np.arctan2(from_middle_y, from_middle_x) / (2 * np.pi) + 0.5,
        np.hypot(from_middle_y, from_middle_x) * 2**0.5,
    )[pattern % 4]
    return np.where((turn_at < share)[..., None], new_HWC, old_HWC)
