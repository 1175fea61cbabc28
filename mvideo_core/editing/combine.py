"""Several clips become layers of one picture, from back to front (paper, figure 9). Objects stay separate.

A layer hides the layers behind it; objects within a layer do not hide each other. Objects are numbered layer by layer,
from back to front.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.editing.presence import check_change, find_visible
from mvideo_core.editing.resample import HIDDEN, Fit, nearest_frames, past_end, place_edges, placement
from mvideo_core.editing.warp import pixels_of
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.codec import fill_runs
from mvideo_core.masks.io.clip import MaskClip, RunWriter, edges_of

Tail = Literal["hide", "hold", "loop", "bounce"]


class Layer(NamedTuple):
    """A clip in the picture.

    Attributes:
        start_s: time of its first frame; if negative, the beginning is cut off.
        tail: what it shows after its end: nothing, its last frame, the clip again, or the clip back and forth.
    """

    clip: MaskClip
    start_s: float = 0.0
    tail: Tail = "hide"


class CombineOptions(Options):
    """The combined picture."""

    occlude: bool = Field(default=True, description="a layer hides the layers behind it; off: objects overlap")
    length: Literal["longest", "shortest", "first"] = Field(
        default="longest", description="which layer sets the length; the first layer is at the back"
    )
    fps: float = Field(default=0.0, ge=0, le=1000, description="frames per second; 0 = the highest of the layers")
    height_px: int = Field(default=0, ge=0, description="px; 0 = the first layer's")
    width_px: int = Field(default=0, ge=0, description="px; 0 = the first layer's")
    fit: Fit = Field(default="crop", description="layers with a different aspect ratio: crop, letterbox or stretch")


def combine(layers: Sequence[Layer], options: CombineOptions | None = None) -> MaskClip:
    """One clip with the objects of all layers, numbered layer by layer, back to front.

    Warns about objects that are never visible because they are hidden, cropped away or too late.

    Raises:
        ConfigError: no layer, or nothing to show.
    """
    options = options or CombineOptions()
    if not layers:
        raise ConfigError("combine: no layers; give at least one mask sequence")
    fps = options.fps or max(layer.clip.fps for layer in layers)
    height = options.height_px or layers[0].clip.sequence.height
    width = options.width_px or layers[0].clip.sequence.width
    n_frames = _n_frames(layers, fps, options.length)
    index_LT = [_layer_frames(layer, n_frames, fps) for layer in layers]
    n_objects = sum(layer.clip.sequence.n_objects for layer in layers)
    writer = RunWriter(n_frames, n_objects, height, width)
    for frame in range(n_frames):
        drawn = [
            _place(layer, int(index_T[frame]), height, width, options.fit)
            for layer, index_T in zip(layers, index_LT, strict=True)
        ]
        if options.occlude:
            drawn = occlude(drawn, height, width)
        for edges in (edges for objects in drawn for edges in objects):
            writer.append(edges)
    labels = tuple(label for layer in layers for label in layer.clip.labels)
    result = writer.finish()
    _check_all_seen(layers, index_LT, result, labels)
    return MaskClip(result, fps, labels)


def _check_all_seen(
    layers: Sequence[Layer], index_LT: Sequence[np.ndarray], result: MaskSequence, labels: Sequence[str]
) -> None:
    before, ever = [], []
    for layer, index_T in zip(layers, index_LT, strict=True):
        seen_TN = find_visible(layer.clip.sequence)
        before.append(seen_TN[index_T[index_T != HIDDEN]].sum(axis=0))
        ever.append(seen_TN.sum(axis=0))
    check_change(np.concatenate(before), np.concatenate(ever), result, labels, "of the combined picture")


def occlude(layers: Sequence[Sequence[np.ndarray]], height: int, width: int) -> list[list[np.ndarray]]:
    """Runs of each object of each layer (back to front), minus what the layers in front of it cover.

    Objects of one layer do not hide each other: their own sequence already shows only what is visible.
    """
    covered = np.zeros(height * width, np.bool_)
    result: list[list[np.ndarray]] = []
    for objects in reversed(layers):
        visible = []
        for edges in objects:
            mask = pixels_of(edges, height, width).reshape(-1)
            hidden = bool((mask & covered).any())
            visible.append(edges_of((mask & ~covered).reshape(height, width)) if hidden else edges)
        for edges in objects:
            fill_runs(covered, edges)
        result.append(visible)
    return result[::-1]


def _n_frames(layers: Sequence[Layer], fps: float, length: str) -> int:
    ends = [layer.start_s + layer.clip.duration_s for layer in layers]
    end_s = {"longest": max(ends), "shortest": min(ends), "first": ends[0]}[length]
    n_frames = int(np.ceil(end_s * fps - 1e-6))
    if n_frames < 1:
        raise ConfigError(
            f"combine: the {length} layer ends at {end_s:g} s, before the first frame; change its start_s"
        )
    return n_frames


def _layer_frames(layer: Layer, n_frames: int, fps: float) -> np.ndarray:
    """The layer's frame at each frame of the picture; HIDDEN if it shows nothing."""
    index = nearest_frames(np.arange(n_frames) / fps - layer.start_s, layer.clip.fps)
    return past_end(index, layer.clip.sequence.n_frames, layer.tail)


def _place(layer: Layer, frame: int, height: int, width: int, fit: Fit) -> list[np.ndarray]:
    """Runs of the layer's objects in the picture."""
    sequence = layer.clip.sequence
    if frame == HIDDEN:
        return [np.zeros(0, np.int32)] * sequence.n_objects
    size = (sequence.height, sequence.width)
    place = placement(*size, height, width, fit)
    return [
        place_edges(sequence.mask_edges(frame, obj), size, (height, width), place) for obj in range(sequence.n_objects)
    ]
