"""One number per pixel: 0 = nothing, n = object n - 1; or black and white. What PNG and gray video can hold."""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from mvideo_core.editing.clip import RunWriter, edges_of
from mvideo_core.errors import MediaError
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.measure import area

log = logging.getLogger(__name__)

WHITE = 128
"""Values from here on mean a black and white mask; below, object numbers."""


def read_maps(frames: Callable[[], Iterable[np.ndarray]], name: str | Path, binary: bool = False) -> MaskSequence:
    """Masks of a stream of label maps, read twice: once for their kind and size, once for the masks.

    Args:
        frames: gives the (H, W) uint8 frames anew at each call.
        name: what messages call it.
        binary: black and white whatever the values.

    Raises:
        MediaError: no frame, or frames of different sizes.
    """
    n_frames, top, shape = 0, 0, None
    for frame in frames():
        shape = shape or frame.shape
        if frame.shape != shape:
            raise MediaError(f"{name}: frame {n_frames} is {frame.shape}, the first was {shape} (height, width)")
        n_frames, top = n_frames + 1, max(top, int(frame.max(initial=0)))
    if shape is None:
        raise MediaError(f"{name}: no frame inside")
    white = binary or top >= WHITE
    n_objects = 1 if white else max(top, 1)
    writer = RunWriter(n_frames, n_objects, *shape)
    for frame in frames():
        for number in range(n_objects):
            writer.append(edges_of(frame >= WHITE if white else frame == number + 1))
    return writer.finish()


def label_maps(sequence: MaskSequence) -> Iterator[np.ndarray]:
    """A (H, W) uint8 map per frame: white for a single object, else numbers; where objects overlap the later shows."""
    from mvideo_core.masks.codec import fill_runs

    for frame in range(sequence.n_frames):
        pixels = np.zeros(sequence.height * sequence.width, np.uint8)
        for number in range(sequence.n_objects):
            mask = np.zeros(len(pixels), np.bool_)
            fill_runs(mask, sequence.mask_edges(frame, number))
            pixels[mask] = 255 if sequence.n_objects == 1 else number + 1
        yield pixels.reshape(sequence.height, sequence.width)


def check_maps(sequence: MaskSequence, name: str | Path) -> None:
    """Says what a label map would lose: a warning with the pixels in which objects overlap.

    Raises:
        MediaError: more objects than numbers.
    """
    if sequence.n_objects >= WHITE:
        raise MediaError(
            f"{name}: {sequence.n_objects} objects; label maps hold at most {WHITE - 1}: write .masks or .npz"
        )
    if sequence.n_objects < 2:
        return
    lost = 0
    for frame, shown in enumerate(label_maps(sequence)):
        full = sum(area(sequence.mask_edges(frame, number)) for number in range(sequence.n_objects))
        lost += full - int(np.count_nonzero(shown))
    if lost:
        log.warning(
            "%s: %d px of hidden parts of overlapping objects are not kept; .masks and .npz keep them", name, lost
        )
