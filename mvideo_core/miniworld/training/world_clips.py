"""The world at the mini base's size, and the motion captioner's captions of it.

Frames are rendered three times larger and downscaled by area: rendered small, they would have sharper edges than clips.

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
"""Rendering scale before downscaling by area."""
SOURCE_WIDTH = 720
"""Frame width at which the world's grain is per pixel; smaller frames average it out."""


class Tracks(NamedTuple):
    """Ground truth of all objects over some frames; where an object is lost, its boxes are NaN and its areas 0.

    Attributes:
        height, width: frame size, px.
        boxes_NT4: xyxy, px.
        areas_NT: number of visible pixels.
        lost_NT: bool, too small or too occluded to be found.
    """

    height: int
    width: int
    boxes_NT4: np.ndarray
    areas_NT: np.ndarray
    lost_NT: np.ndarray


def clip_shot(seed: int, split: Split, width: int = WIDTH, unseen: bool = False) -> ShotSpec:
    """A shot with its grain averaged as in a clip `width` px wide."""
    spec = sample_shot(seed, split, unseen)
    return dataclasses.replace(spec, grain=spec.grain * OVERSIZE * width / SOURCE_WIDTH)


def large_frames(spec: ShotSpec, times_s: list[float], size_hw: tuple[int, int] = (HEIGHT, WIDTH)) -> list[WorldFrame]:
    """The shot's frames at these times, OVERSIZE times as large as a clip of `size_hw` px."""
    height, width = size_hw
    return list(render_times(spec, times_s, OVERSIZE * width, OVERSIZE * height))


def shrink(large: np.ndarray, size_hw: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Downscale a large frame or uint8 mask to clip size, by area."""
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
    """The motion captioner's caption of true tracks; objects that are lost in all frames are left out.

    Args:
        fps: frames per second of the tracks.
        labels: class of each object; None = the actors' classes.
    """
    labels = tuple(actor.kind for actor in spec.actors) if labels is None else tuple(labels)
    clip = CaptionInput(
        str(spec.seed), tracks.width, tracks.height, fps, labels=labels, boxes_NT4=tracks.boxes_NT4,
        areas_NT=tracks.areas_NT,
    )  # fmt: skip
    return MotionCaptioner.tiny().describe(clip)
