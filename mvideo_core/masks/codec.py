"""The in-memory code of a clip's masks: the runs of every row of every mask, in one array.

Shape letters: T frames, N objects, H, W pixels. A mask is a list of *edges* `start, end, start, end, ...`: int32
positions in the row-major frame (`row * W + x`), half-open, one run per maximal stretch of a row. A run that reaches
the right border ends at `(row + 1) * W`; runs never cross a row, so two equal masks have equal edges.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mvideo_core.base.errors import MediaError

MAX_SIDE_PX = 65535
MAX_MASKS = 1 << 24
MAX_AREA_PX = 1 << 30
_PIXELS_AT_ONCE = 1 << 22
"""Small enough that the bits stay in the processor's cache."""
_ONES = memoryview(b"\x01" * MAX_SIDE_PX)


@dataclass(frozen=True, slots=True, eq=False)
class MaskSequence:
    """Masks of N objects over T frames, each frame readable on its own.

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
    """Encodes a clip frame by frame; holds only the code.

    Args:
        n_objects, height, width: N, H, W of every frame.

    Raises:
        MediaError: a side beyond 65535 px.
    """

    def __init__(self, n_objects: int, height: int, width: int):
        check_shape(0, n_objects, height, width)
        self._shape = (n_objects, height, width)
        self._edges: list[np.ndarray] = []
        self._lengths: list[np.ndarray] = []

    def append(self, masks_NHW: np.ndarray) -> None:
        """Add one frame.

        Args:
            masks_NHW: bool (N, H, W); any memory order.

        Raises:
            MediaError: the shape or dtype differs from the announced one.
        """
        if masks_NHW.shape != self._shape or masks_NHW.dtype != np.bool_:
            raise MediaError(
                f"mask frame {len(self._edges)}: got {masks_NHW.dtype}{list(masks_NHW.shape)}, "
                f"expected bool{list(self._shape)}"
            )
        edges, lengths = encode_edges(changes(masks_NHW), *self._shape)
        self._edges.append(edges)
        self._lengths.append(lengths)

    def finish(self) -> MaskSequence:
        """The sequence of all frames appended so far."""
        n_objects, height, width = self._shape
        check_shape(len(self._edges), n_objects, height, width)
        edges = np.concatenate(self._edges) if self._edges else np.zeros(0, np.int32)
        lengths = np.concatenate([np.zeros(1, np.int64), *self._lengths])
        return MaskSequence(len(self._edges), n_objects, height, width, edges, np.cumsum(lengths))


def changes(masks: np.ndarray) -> np.ndarray:
    """Pixels (int64) at which a stack of masks, read as one line of pixels between two zeros, changes value.

    64 pixels are packed into a word and compared with the word shifted by one pixel; most words are equal and cost
    nothing more.
    """
    octets = np.packbits(masks.reshape(-1).view(np.uint8), bitorder="little")
    if len(octets) % 8:
        octets = np.concatenate([octets, np.zeros(-len(octets) % 8, np.uint8)])
    words = octets.view("<u8")
    changed = words << np.uint64(1)
    changed[1:] |= words[:-1] >> np.uint64(63)
    changed ^= words
    places = np.flatnonzero(changed.astype(np.bool_))
    octets = changed[places].view(np.uint8)
    few = np.flatnonzero(octets.astype(np.bool_))
    bits = np.flatnonzero(np.unpackbits(octets[few], bitorder="little").view(np.bool_))
    octet = few[bits >> 3]
    found: np.ndarray = (places[octet >> 3] << 6) + ((octet & 7) << 3) + (bits & 7)
    return found if len(found) % 2 == 0 else np.append(found, masks.size)  # a run that ends with the last pixel


def encode_edges(positions: np.ndarray, n_masks: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges (int32) and their number per mask, from the positions where a flattened stack of masks changes."""
    runs = split_rows(positions.reshape(-1, 2), width)
    n_pixels = height * width
    stops = np.searchsorted(np.ascontiguousarray(runs[:, 0]), np.arange(1, n_masks + 1) * n_pixels)
    counts = np.diff(stops, prepend=0)
    runs = runs - np.repeat(np.arange(n_masks) * n_pixels, counts)[:, None]
    return runs.astype(np.int32).reshape(-1), 2 * counts


def split_rows(runs: np.ndarray, width: int) -> np.ndarray:
    """Runs (R, 2) of a flat frame, with runs that cross a row's end split there."""
    first, last = runs[:, 0] // width, (runs[:, 1] - 1) // width
    if np.array_equal(first, last):
        return runs
    pieces = last - first + 1
    rows = np.repeat(first - np.cumsum(pieces) + pieces, pieces) + np.arange(pieces.sum())
    whole = np.repeat(runs, pieces, axis=0)
    return np.stack([np.maximum(whole[:, 0], rows * width), np.minimum(whole[:, 1], (rows + 1) * width)], axis=1)


def encode(masks_TNHW: np.ndarray) -> MaskSequence:
    """The code of a whole clip.

    Args:
        masks_TNHW: bool (T, N, H, W); objects may overlap, frames may be empty, T and N may be 0.

    Raises:
        MediaError: not four axes, not bool, or a side beyond 65535 px.
    """
    if masks_TNHW.ndim != 4:
        raise MediaError(f"masks of shape {list(masks_TNHW.shape)}: expected (frames, objects, height, width)")
    n_frames, n_objects, height, width = masks_TNHW.shape
    check_shape(n_frames, n_objects, height, width)
    if masks_TNHW.dtype != np.bool_:
        raise MediaError(f"masks of type {masks_TNHW.dtype}: expected bool")
    n_frame = n_objects * height * width
    step = max(1, _PIXELS_AT_ONCE // max(n_frame, 1))
    parts = [changes(masks_TNHW[start : start + step]) + start * n_frame for start in range(0, n_frames, step)]
    positions = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    edges, lengths = encode_edges(positions, n_frames * n_objects, height, width)
    return MaskSequence(n_frames, n_objects, height, width, edges, np.concatenate([[0], np.cumsum(lengths)]))


def from_bytes(data: bytes) -> MaskSequence:
    """The sequence in the content of a `.masks` file.

    Raises:
        MediaError: not such a file, damaged, or larger than this reader allows.
    """
    from mvideo_core.masks.packing import unpack

    return unpack(data)


def fill_runs(pixels: np.ndarray, edges: np.ndarray) -> None:
    """Set the runs of `edges` in a flat, contiguous bool frame.

    Slices beat scatter + cumsum by 5 to 1 at 400 runs per mask, and slices of a memoryview those of an array by 1.4.
    """
    room = pixels.view(np.uint8).data
    for start, end in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True):
        room[start:end] = _ONES[: end - start]


def check_shape(n_frames: int, n_objects: int, height: int, width: int) -> None:
    """Raise MediaError unless the four counts fit the format's limits."""
    fits = 0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX and height * width <= MAX_AREA_PX
    if not fits or n_frames < 0 or n_objects < 0 or n_frames * max(n_objects, 1) > MAX_MASKS or n_objects > MAX_SIDE_PX:
        raise MediaError(
            f"masks of {n_frames} frames x {n_objects} objects x {height} x {width} px; allowed: sides of 1 to "
            f"{MAX_SIDE_PX}, at most {MAX_AREA_PX} px per frame, {MAX_SIDE_PX} objects, {MAX_MASKS} masks"
        )
