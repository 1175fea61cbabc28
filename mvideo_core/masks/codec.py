"""The in-memory code of a clip's masks: the runs of every row of every mask, in one array.

Shape letters: T frames, N objects, H, W pixels. A mask is a list of *edges* `start, end, start, end, ...`: int32
positions in the row-major frame (`row * W + x`), half-open, one run per maximal stretch of a row. A run that reaches
the right border ends at `(row + 1) * W`; runs never cross a row, so two equal masks have equal edges.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mvideo_core.errors import MediaError

MAX_SIDE_PX = 65535
MAX_MASKS = 1 << 24
MAX_AREA_PX = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class MaskSequence:
    """Masks of N objects over T frames, any frame readable on its own.

    Attributes:
        n_frames, n_objects, height, width: T, N, H, W.
        edges: int32 edges of all masks, frame by frame, object by object.
        offsets: int64 (T * N + 1); mask (t, n) is `edges[offsets[t * N + n] : offsets[t * N + n + 1]]`.
    """

    n_frames: int
    n_objects: int
    height: int
    width: int
    edges: np.ndarray
    offsets: np.ndarray

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MaskSequence)
            and self.shape == other.shape
            and np.array_equal(self.offsets, other.offsets)
            and np.array_equal(self.edges, other.edges)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, N, H, W)."""
        return self.n_frames, self.n_objects, self.height, self.width

    def mask_edges(self, frame: int, obj: int) -> np.ndarray:
        """Edges of one mask, a view.

        Raises:
            IndexError: no such frame or object.
        """
        if not (0 <= frame < self.n_frames and 0 <= obj < self.n_objects):
            raise IndexError(f"mask ({frame}, {obj}) of {self.n_frames} frames and {self.n_objects} objects")
        i = frame * self.n_objects + obj
        return self.edges[self.offsets[i] : self.offsets[i + 1]]

    def mask(self, frame: int, obj: int) -> np.ndarray:
        """Pixels of one mask, bool (H, W)."""
        pixels = np.zeros(self.height * self.width, np.bool_)
        fill_runs(pixels, self.mask_edges(frame, obj))
        return pixels.reshape(self.height, self.width)

    def frame(self, frame: int) -> np.ndarray:
        """Pixels of one frame, bool (N, H, W)."""
        pixels = np.zeros((self.n_objects, self.height * self.width), np.bool_)
        for obj in range(self.n_objects):
            fill_runs(pixels[obj], self.mask_edges(frame, obj))
        return pixels.reshape(self.n_objects, self.height, self.width)

    def pixels(self) -> np.ndarray:
        """Pixels of the whole clip, bool (T, N, H, W): T * N * H * W bytes."""
        pixels = np.zeros(self.shape, np.bool_)
        flat = pixels.reshape(self.n_frames, self.n_objects, self.height * self.width)
        for frame in range(self.n_frames):
            for obj in range(self.n_objects):
                fill_runs(flat[frame, obj], self.mask_edges(frame, obj))
        return pixels

    def select(self, objects: Iterable[int]) -> "MaskSequence":
        """The same clip with only these objects, in the given order."""
        order = np.asarray(list(objects), np.int64)
        index = (np.arange(self.n_frames)[:, None] * self.n_objects + order).reshape(-1)
        lengths = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        source = np.repeat(self.offsets[index] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return MaskSequence(self.n_frames, len(order), self.height, self.width, self.edges[source], offsets)

    def to_bytes(self) -> bytes:
        """The content of a `.masks` file; see `packing.pack`."""
        from mvideo_core.masks.packing import pack

        return pack(self)


class MaskWriter:
    """Takes a clip frame by frame; holds only the code.

    Args:
        n_objects, height, width: N, H, W of every frame to come.

    Raises:
        MediaError: a side beyond 65535 px.
    """

    def __init__(self, n_objects: int, height: int, width: int):
        check_shape(0, n_objects, height, width)
        self._shape = (n_objects, height, width)
        self._pitch = width // 64 + 1  # words per row: at least one bit stays free, so a run at the border ends inside
        self._row = (width + 7) // 8
        self._bits = np.zeros((n_objects, height, self._pitch * 8), np.uint8)
        self._left = np.zeros(n_objects * height * self._pitch, "<u8")
        self._carry = np.zeros_like(self._left)
        self._edges: list[np.ndarray] = []
        self._lengths: list[np.ndarray] = []

    def append(self, masks_NHW: np.ndarray) -> None:
        """Adds one frame.

        Args:
            masks_NHW: bool (N, H, W); any memory order.

        Raises:
            MediaError: another shape or dtype than announced.
        """
        if masks_NHW.shape != self._shape or masks_NHW.dtype != np.bool_:
            raise MediaError(
                f"mask frame {len(self._edges)}: {masks_NHW.dtype}{list(masks_NHW.shape)} seen, "
                f"bool{list(self._shape)} wanted"
            )
        n_objects, height, width = self._shape
        positions = self._positions(masks_NHW)
        rows = positions // (self._pitch * 64)
        positions -= rows * (self._pitch * 64 - width)  # now row * W + x, rows counted over all objects
        stops = np.searchsorted(rows, np.arange(1, n_objects + 1) * height)
        lengths = np.diff(stops, prepend=0)
        positions -= np.repeat(np.arange(n_objects) * (height * width), lengths)
        self._edges.append(positions.astype(np.int32))
        self._lengths.append(lengths)

    def finish(self) -> MaskSequence:
        """The sequence of all frames appended so far."""
        n_objects, height, width = self._shape
        check_shape(len(self._edges), n_objects, height, width)
        edges = np.concatenate(self._edges) if self._edges else np.zeros(0, np.int32)
        lengths = np.concatenate([np.zeros(1, np.int64), *self._lengths])
        return MaskSequence(len(self._edges), n_objects, height, width, edges, np.cumsum(lengths))

    def _positions(self, masks_NHW: np.ndarray) -> np.ndarray:
        """Bit positions where a row changes value: pack 64 pixels to a word, XOR with the word shifted by one pixel."""
        self._bits[..., : self._row] = np.packbits(masks_NHW.view(np.uint8), axis=-1, bitorder="little")
        words = self._bits.view("<u8").reshape(-1)
        np.left_shift(words, np.uint64(1), out=self._left)
        np.right_shift(words[:-1], np.uint64(63), out=self._carry[1:])
        np.bitwise_xor(self._left, words, out=self._left)
        np.bitwise_xor(self._left, self._carry, out=self._left)
        changed = np.flatnonzero(self._left != 0)
        bits = np.flatnonzero(np.unpackbits(self._left[changed].view(np.uint8), bitorder="little").view(np.bool_))
        positions: np.ndarray = (changed[bits >> 6] << 6) + (bits & 63)
        return positions


def encode(masks_TNHW: np.ndarray) -> MaskSequence:
    """The code of a whole clip.

    Args:
        masks_TNHW: bool (T, N, H, W); objects may overlap, frames may be empty, T and N may be 0.

    Raises:
        MediaError: not four axes, not bool, or a side beyond 65535 px.
    """
    if masks_TNHW.ndim != 4:
        raise MediaError(f"masks of shape {list(masks_TNHW.shape)}: (frames, objects, height, width) wanted")
    writer = MaskWriter(*masks_TNHW.shape[1:])
    for masks_NHW in masks_TNHW:
        writer.append(masks_NHW)
    return writer.finish()


def from_bytes(data: bytes) -> MaskSequence:
    """The sequence a `.masks` file holds.

    Raises:
        MediaError: not such a file, damaged, or larger than this reader allows.
    """
    from mvideo_core.masks.packing import unpack

    return unpack(data)


def fill_runs(pixels: np.ndarray, edges: np.ndarray) -> None:
    """Sets the runs of `edges` in a flat bool frame. Slices beat scatter + cumsum by 5 to 1 at 400 runs a mask."""
    for start, end in edges.reshape(-1, 2).tolist():
        pixels[start:end] = True


def check_shape(n_frames: int, n_objects: int, height: int, width: int) -> None:
    """Raises MediaError unless the four counts fit the format's limits."""
    fits = 0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX and height * width <= MAX_AREA_PX
    if not fits or n_frames < 0 or n_objects < 0 or n_frames * max(n_objects, 1) > MAX_MASKS or n_objects > MAX_SIDE_PX:
        raise MediaError(
            f"masks of {n_frames} frames x {n_objects} objects x {height} x {width} px: sides of 1 to {MAX_SIDE_PX}, "
            f"at most {MAX_AREA_PX} px a frame, {MAX_SIDE_PX} objects and {MAX_MASKS} masks are allowed"
        )
