"""The world at the mini base's size, and what the motion captioner says of it.

Frames are drawn three times larger and shrunk by area: drawn small, they would have sharper edges than a clip's.

Legend: T frames, N objects, H, W.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mvideo_core.miniworld.world import ShotSpec, WorldFrame, sample_shot
from mvideo_core.miniworld.world.render import MIN_AREA_FRAC, MIN_VISIBLE_FRAC, render_times
from mvideo_core.miniworld.world.spec import Split
from mvideo_core.perception.captioning.base import CaptionInput
from mvideo_core.perception.captioning.motion import MotionCaptioner

HEIGHT, WIDTH = 64, 96
OVERSIZE = 3
"""Drawn this much larger, then shrunk by area."""
SOURCE_WIDTH = 720
"""The width at which the world's grain counts as one level per pixel; smaller frames average it away."""


class Tracks(NamedTuple):
    """Truth of all objects over some frames; where an object is lost, its boxes are NaN and its areas 0.

    Attributes:
        height, width: of the frames, px.
        boxes_NT4: xyxy, px.
        areas_NT: visible pixels.
        lost_NT: bool, too small or too hidden to be found.
    """

    height: int
    width: int
    boxes_NT4: np.ndarray
    areas_NT: np.ndarray
    lost_NT: np.ndarray


def clip_shot(seed: int, split: Split, width: int = WIDTH, unseen: bool = False) -> ShotSpec:
    """A shot with its grain averaged over the source's pixels, as it would be in a clip `width` px wide."""
    spec = sample_shot(seed, split, unseen)
    return dataclasses.replace(spec, grain=spec.grain * OVERSIZE * width / SOURCE_WIDTH)


def large_frames(spec: ShotSpec, times_s: list[float], size_hw: tuple[int, int] = (HEIGHT, WIDTH)) -> list[WorldFrame]:
    """The shot's frames at these times, OVERSIZE times as large as a clip of `size_hw` px."""
    height, width = size_hw
    return list(render_times(spec, times_s, OVERSIZE * width, OVERSIZE * height))


def shrunk(large: np.ndarray, size_hw: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A large frame or uint8 mask at the size of a clip, by area."""
    import cv2

    return cv2.resize(large, size_hw[::-1], interpolation=cv2.INTER_AREA)


def true_tracks(frames: Sequence[WorldFrame]) -> Tracks:
    """Boxes and areas of all objects in all frames, in the actors' order."""
    height, width = frames[0].rgb.shape[:2]
    areas_NT = np.stack([frame.visible.sum(axis=(1, 2)) for frame in frames], axis=1).astype(np.float64)
    whole_NT = np.stack([frame.amodal.sum(axis=(1, 2)) for frame in frames], axis=1)
    boxes_NT4 = np.stack([frame.boxes() for frame in frames], axis=1)
    lost_NT = (areas_NT < MIN_AREA_FRAC * width * height) | (areas_NT < MIN_VISIBLE_FRAC * whole_NT)
    boxes_NT4[lost_NT], areas_NT[lost_NT] = np.nan, 0
    return Tracks(height, width, boxes_NT4, areas_NT, lost_NT)


def motion_caption(spec: ShotSpec, tracks: Tracks, fps: float, labels: Sequence[str] | None = None) -> str:
    """What the motion captioner says of true tracks; objects that are lost in all frames are left out.

    Args:
        fps: frames per second of the tracks.
        labels: class of each object, if not the actors' own.
    """
    labels = tuple(actor.kind for actor in spec.actors) if labels is None else tuple(labels)
    clip = CaptionInput(
        str(spec.seed), tracks.width, tracks.height, fps, labels=labels, boxes_NT4=tracks.boxes_NT4,
        areas_NT=tracks.areas_NT,
    )  # fmt: skip
    return MotionCaptioner.tiny().tell(clip)
