"""Track objects that are first seen on any frame, forwards and backwards.

Each group of objects that start on one frame is one `Segmenter.propagate`; all groups read the same stream in step.
Frames for the way back wait on disk, and so do the runs and notes of all masks until the clip ends.
"""

import os
import tempfile
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from mvideo_core.base.stopping import stop_between
from mvideo_core.masks import MaskSequence, encode
from mvideo_core.masks.io.clip import RunWriter
from mvideo_core.perception.segmentation.base import FrameMasks, report_progress

NO_BOXES = np.zeros((0, 4), np.float32)


@dataclass
class Masklet:
    """One tracked object, still growing.

    Attributes:
        start: frame of its prompt.
        edges: runs of its mask by frame; a frame it does not reach is missing.
        scores: of all frames it was tracked on.
        notes: `describe` of each mask.
    """

    start: int
    edges: MutableMapping[int, np.ndarray] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    notes: MutableMapping[int, np.ndarray] = field(default_factory=dict)

    def at(self, frame: int) -> np.ndarray:
        """Runs of one frame; none if it is not visible."""
        return self.edges.get(frame, np.zeros(0, np.int32))


class SpooledArrays(MutableMapping[int, np.ndarray]):
    """Arrays with one axis and one type, by frame number; the numbers are on disk, memory holds 16 bytes per frame.

    What is replaced or deleted stays in the file, which is removed with the last mapping that uses it.

    Args:
        file: of several mappings; each appends to it.
    """

    def __init__(self, file: "_SharedFile"):
        self._file = file
        self._dtype = np.dtype(np.uint8)
        self._places = np.full((64, 2), -1, np.int64)  # by frame: first byte, length; -1: no array

    def __setitem__(self, frame: int, values: np.ndarray) -> None:
        while frame >= len(self._places):
            self._places = np.concatenate([self._places, np.full_like(self._places, -1)])
        self._dtype = values.dtype
        self._places[frame] = self._file.append(values.tobytes()), len(values)

    def __getitem__(self, frame: int) -> np.ndarray:
        if frame not in self:
            raise KeyError(frame)
        start, length = self._places[frame].tolist()
        return np.frombuffer(self._file.read(start, length * self._dtype.itemsize), self._dtype)

    def __delitem__(self, frame: int) -> None:
        if frame not in self:
            raise KeyError(frame)
        self._places[frame] = -1

    def __contains__(self, frame: object) -> bool:
        if not isinstance(frame, int | np.integer) or not 0 <= frame < len(self._places):
            return False
        return bool(self._places[frame, 1] >= 0)

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self._places[:, 1] >= 0).tolist())

    def __len__(self) -> int:
        return int((self._places[:, 1] >= 0).sum())


class _SharedFile:
    """A temporary file that grows; it is gone once nothing refers to it."""

    def __init__(self, folder: Path | None):
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by the finalizer
        weakref.finalize(self, self._file.close)
        self._n_bytes = 0

    def append(self, data: bytes) -> int:
        """Add bytes; return where they begin."""
        start = self._n_bytes
        self._file.write(data)
        self._n_bytes += len(data)
        return start

    def read(self, start: int, n_bytes: int) -> bytes:
        self._file.flush()
        return os.pread(self._file.fileno(), n_bytes, start)


class Spool:
    """Frames on disk, readable in any order.

    Args:
        folder: of the temporary files; None = the system's.
    """

    def __init__(self, height: int, width: int, folder: Path | None = None):
        self._shape = (height, width, 3)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._arrays = _SharedFile(folder)
        self.n_frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, frame: np.ndarray) -> None:
        """Add the next frame."""
        self._file.write(frame.tobytes())
        self.n_frames += 1

    def frames(self, numbers: Iterable[int]) -> Iterator[np.ndarray]:
        """Frames with these numbers, each read when needed."""
        n_bytes = int(np.prod(self._shape))
        for number in numbers:
            self._file.seek(number * n_bytes)
            frame = np.frombuffer(self._file.read(n_bytes), np.uint8).reshape(self._shape)
            self._file.seek(0, 2)
            yield frame

    def masklet(self, start: int) -> Masklet:
        """A masklet whose runs and notes are in this folder, too; it remains readable after the spool is closed."""
        return Masklet(start, SpooledArrays(self._arrays), {}, SpooledArrays(self._arrays))


Describe = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""A few numbers about a mask that is not empty, from its frame (H, W, 3) and its pixels (H, W)."""
Prompt = Callable[[int, np.ndarray, list[Masklet], list[FrameMasks]], np.ndarray]
"""Boxes (N, 4) of the objects that start on a frame, from its number, its picture, the masklets that started before, up
to the frame before, and their masks on this frame by group."""


def follow(
    segmenter: Any,
    frames: Iterable[np.ndarray],
    height: int,
    width: int,
    prompt: Callable[[int, np.ndarray, list[FrameMasks]], np.ndarray],
) -> Iterator[tuple[np.ndarray, list[FrameMasks]]]:
    """Yield each frame with the masks of every group so far; a group starts where `prompt` returns boxes.

    A segmenter reads a few frames ahead, at most 16; only those frames are held for the other groups.
    """
    shared = _SharedFrames(iter(frames))
    groups: list[Iterator[FrameMasks]] = []
    for number, frame in enumerate(shared.read(0)):
        found = [next(group) for group in groups]
        boxes = prompt(number, frame, found)
        if len(boxes):
            group = segmenter.propagate(shared.read(number), height, width, boxes)
            groups.append(group)
            found.append(next(group))
        yield frame, found


def track(
    segmenter: Any, frames: Iterable[np.ndarray], spool: Spool, height: int, width: int, prompt: Prompt,
    name: str, n_frames: int = 0, describe: Describe | None = None,
) -> tuple[list[Masklet], int]:  # fmt: skip
    """Track both ways from wherever `prompt` lets objects start.

    Args:
        frames: all frames; those up to the last start must be in `spool` once that start is over.
        name, n_frames: of the clip, for the log; 0 = unknown.
        describe: what to note about each mask, in `Masklet.notes`.

    Returns:
        Masklets in the order of their starts, and the number of frames.
    """
    groups: list[tuple[int, np.ndarray, list[Masklet]]] = []

    def start(number: int, frame: np.ndarray, found: list[FrameMasks]) -> np.ndarray:
        boxes = prompt(number, frame, [masklet for _, _, held in groups for masklet in held], found)
        if len(boxes):
            groups.append((number, boxes, [spool.masklet(number) for _ in boxes]))
        return boxes

    total = 0
    forwards = follow(segmenter, frames, height, width, start)
    for number, (frame, found) in enumerate(stop_between(report_progress(forwards, name, n_frames))):
        for (_, _, masklets), masks in zip(groups, found, strict=True):
            _keep(masklets, number, frame, masks, describe)
        total = number + 1
    if late := [group for group in reversed(groups) if group[0] > 0]:
        last, boxes_at = late[0][0], {number: boxes for number, boxes, _ in late}
        back = follow(
            segmenter, spool.frames(range(last, -1, -1)), height, width,
            lambda step, _frame, _found: boxes_at.get(last - step, NO_BOXES),
        )  # fmt: skip
        for step, (frame, found) in enumerate(stop_between(report_progress(back, f"{name}, backwards", last + 1))):
            for (begin, _, masklets), masks in zip(late, found, strict=False):
                if last - step < begin:  # the way forwards has the frame of the prompt, too
                    _keep(masklets, last - step, frame, masks, describe)
    return [masklet for _, _, masklets in groups for masklet in masklets], total


def to_sequence(masklets: list[Masklet], n_frames: int, height: int, width: int) -> MaskSequence:
    """The masks of all frames, objects in the given order."""
    writer = RunWriter(n_frames, len(masklets), height, width)
    for frame in range(n_frames):
        for masklet in masklets:
            writer.append(masklet.at(frame))
    return writer.finish()


def _keep(
    masklets: list[Masklet], number: int, frame: np.ndarray, masks: FrameMasks, describe: Describe | None
) -> None:  # fmt: skip
    code = encode(masks.masks_NHW[None])
    for n, masklet in enumerate(masklets):
        masklet.scores[number] = float(masks.scores_N[n])
        edges = code.mask_edges(0, n)
        if len(edges):
            masklet.edges[number] = edges
            if describe is not None:
                masklet.notes[number] = describe(frame, masks.masks_NHW[n])


class _SharedFrames:
    """One stream for several readers; a frame is freed once all have read it (`itertools.tee` frees 57 at a time)."""

    def __init__(self, frames: Iterator[np.ndarray]):
        self._frames = frames
        self._held: deque[np.ndarray] = deque()
        self._first = 0
        self._places: list[int] = []

    def read(self, start: int) -> Iterator[np.ndarray]:
        """A reader from frame `start` on, which no reader may have passed by more than what is held."""
        reader = len(self._places)
        self._places.append(start)
        return self._read(reader)

    def _read(self, reader: int) -> Iterator[np.ndarray]:
        while True:
            place = self._places[reader]
            if place == self._first + len(self._held):
                frame = next(self._frames, None)
                if frame is None:
                    return
                self._held.append(frame)
            frame = self._held[place - self._first]
            yield frame
            self._places[reader] = place + 1
            while self._held and min(self._places) > self._first:
                self._held.popleft()
                self._first += 1
