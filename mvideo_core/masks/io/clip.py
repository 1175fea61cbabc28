"""A mask sequence with its frame rate and names, and operations that work on the runs alone.

Shape letters: T frames, N objects, H, W pixels.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.codec import check_shape

Mask = NDArray[np.bool_]
"""One object in one frame, (H, W)."""


class MaskClip(NamedTuple):
    """Masks in time.

    Attributes:
        sequence: T frames of N objects.
        fps: frames per second; frame k is shown from k / fps on.
        labels: N names, "" if unknown.
    """

    sequence: MaskSequence
    fps: float
    labels: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return self.sequence.n_frames / self.fps


class RunWriter:
    """Builds a sequence mask by mask from runs; holds only the code.

    Args:
        n_frames, n_objects, height, width: of the finished sequence, checked at once, before any work.

    Raises:
        MediaError: beyond the limits of the format.
    """

    def __init__(self, n_frames: int, n_objects: int, height: int, width: int):
        check_shape(n_frames, n_objects, height, width)
        self._shape = (n_frames, n_objects, height, width)
        self._edges = array("i")
        self._lengths = array("q", [0])

    def append(self, edges: np.ndarray) -> None:
        """Add the next mask, in the order frame, object."""
        self._edges.frombytes(edges.astype(np.int32, copy=False).tobytes())
        self._lengths.append(len(edges))

    def finish(self) -> MaskSequence:
        """The sequence of all masks appended so far."""
        assert len(self._lengths) == self._shape[0] * self._shape[1] + 1
        edges = np.frombuffer(self._edges, np.int32) if self._edges else np.zeros(0, np.int32)
        return MaskSequence(*self._shape, edges, np.cumsum(np.frombuffer(self._lengths, np.int64)))


def edges_of(mask_hw: np.ndarray, top: int = 0, left: int = 0, width: int = 0) -> np.ndarray:
    """Runs of a bool mask in the form that `MaskSequence` stores, int32.

    Args:
        mask_hw: the mask, or a part of it whose first pixel is (top, left).
        width: W of the whole frame; the width of `mask_hw` if 0.
    """
    width = width or mask_hw.shape[1]
    padded = np.zeros((mask_hw.shape[0], mask_hw.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask_hw
    rows, columns = np.nonzero(np.diff(padded, axis=1))  # starts and ends alternate within a row
    return ((rows + top) * width + columns + left).astype(np.int32)


def take_frames(sequence: MaskSequence, frames: Sequence[int] | np.ndarray) -> MaskSequence:
    """The frames with these numbers, in this order, repeats allowed; no pixel is changed."""
    index = np.asarray(frames, np.int64)
    if len(index) and (index.min() < 0 or index.max() >= sequence.n_frames):
        raise IndexError(f"frames {index.min()} to {index.max()} of {sequence.n_frames}")
    check_shape(len(index), sequence.n_objects, sequence.height, sequence.width)
    n = sequence.n_objects
    masks = (index[:, None] * n + np.arange(n)).reshape(-1)
    lengths = np.diff(sequence.offsets)[masks]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    source = np.repeat(sequence.offsets[masks] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return MaskSequence(len(index), n, sequence.height, sequence.width, sequence.edges[source], offsets)


def join(parts: Iterable[MaskSequence]) -> MaskSequence:
    """Join sequences of the same objects and size, one after another.

    Raises:
        MediaError: objects or sizes differ.
    """
    held = list(parts)
    if len({part.shape[1:] for part in held}) != 1:
        raise MediaError(f"sequences to join differ in (objects, height, width): {[part.shape[1:] for part in held]}")
    shifts = np.cumsum([0, *(len(part.edges) for part in held)])
    offsets = [np.zeros(1, np.int64), *(part.offsets[1:] + shift for part, shift in zip(held, shifts, strict=False))]
    edges = np.concatenate([part.edges for part in held])
    return MaskSequence(sum(part.n_frames for part in held), *held[0].shape[1:], edges, np.concatenate(offsets))


def invert(sequence: MaskSequence) -> MaskSequence:
    """Swap inside and outside of every mask."""
    writer = RunWriter(*sequence.shape)
    for frame in range(sequence.n_frames):
        for obj in range(sequence.n_objects):
            writer.append(edges_of(~sequence.mask(frame, obj)))
    return writer.finish()


def check_objects(objects: Sequence[int] | None, n_objects: int) -> list[int]:
    """Object numbers to work on; all if None.

    Raises:
        ConfigError: a number that the sequence does not have.
    """
    if objects is None:
        return list(range(n_objects))
    unknown = sorted({one for one in objects if not 0 <= one < n_objects})
    if unknown:
        raise ConfigError(f"objects {unknown}: the sequence has objects 0 to {n_objects - 1}")
    return list(objects)


def with_masks(clip: MaskClip, objects: Sequence[int] | None, change: Callable[[Mask], Mask]) -> MaskClip:
    """The clip with every mask of some objects (None: all) replaced by `change` of it, bool (H, W) to the same."""
    chosen = check_objects(objects, clip.sequence.n_objects)
    writer = RunWriter(*clip.sequence.shape)
    for frame in range(clip.sequence.n_frames):
        for obj in range(clip.sequence.n_objects):
            if obj in chosen:
                writer.append(edges_of(change(clip.sequence.mask(frame, obj))))
            else:
                writer.append(clip.sequence.mask_edges(frame, obj))
    return clip._replace(sequence=writer.finish())
