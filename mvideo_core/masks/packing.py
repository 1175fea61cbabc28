"""`.masks` files, version 2: a header and one zstd frame. Numbers are little-endian.

    offset  type     content
    0       4 bytes  "MVMS"
    4       u16      version, 2
    6       u16      0
    8       5 x u32  T frames, N objects, H rows, W columns, R runs
    28      u32      CRC-32 of everything else: bytes 0-27, then the zstd frame
    32               zstd frame of the streams, in this order

    counts   u32  T * N: runs of each mask, masks in order t * N + n
    rows     i8   R: row of each run, minus the row of the run before it in the same mask
    starts   i8   R: x of each run's first pixel, minus that of the run before
    ends     i8   R: x after each run's last pixel, minus that of the run before
    escapes  i32  the differences outside -127..127, in order; the streams above have -128 in their place.
                  Stored as four byte planes, the lowest bytes first

The first run of a mask has no run before it, so nothing is subtracted. Runs are in reading order; each is as long as
possible but stays within its row.

An outline hardly moves from one row to the next, so most differences are 0 or 1 and cost about two bits after zstd.
"""

# Decoding is three cumulative sums. Version 1 predicted each edge from its counterpart in the row above, also in rows
# of several runs: 8% smaller over three kinds of synthetic masks, four times slower to read.

import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import zstandard

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.codec import MaskSequence, check_shape

MAGIC = b"MVMS"
VERSION = 2
MAX_RUNS = 1 << 24
LEVEL = 5
_HEAD = struct.Struct("<4sHH5I")
_CRC = struct.Struct("<I")
_ESCAPE = -128
_EDGES_AT_ONCE = 1 << 17


def pack(sequence: MaskSequence) -> bytes:
    """Bytes of a `.masks` file.

    Raises:
        MediaError: more than 2**24 runs in the clip (masks of noise).
    """
    n_runs = len(sequence.edges) // 2
    if n_runs > MAX_RUNS:
        raise MediaError(f"masks with {n_runs} runs: at most {MAX_RUNS} fit one file; split the clip")
    counts = np.diff(sequence.offsets) // 2
    parts = [_streams(sequence, first, last) for first, last in _parts(sequence.offsets)]
    streams = [part.small[n] for n in range(3) for part in parts]
    escapes = np.concatenate([part.escapes[n] for n in range(3) for part in parts])
    raw = b"".join([counts.astype("<u4").tobytes(), *(stream.tobytes() for stream in streams), _to_planes(escapes)])
    head = _HEAD.pack(MAGIC, VERSION, 0, *sequence.shape, n_runs)
    body = zstandard.ZstdCompressor(level=LEVEL).compress(raw)
    return head + _CRC.pack(zlib.crc32(body, zlib.crc32(head))) + body


def unpack(data: bytes) -> MaskSequence:
    """The sequence in the bytes of a `.masks` file.

    Every count is checked before memory is allocated for it: the largest accepted file decodes within about 1 GB, a
    typical one (100,000 runs) within 10 MB.

    Raises:
        MediaError: not a mask file, another version, damaged, or beyond the limits.
    """
    (n_frames, n_objects, height, width, n_runs), body = _open(data)
    n_masks = n_frames * n_objects
    raw = _decompress(body, at_least=4 * n_masks + 3 * n_runs, at_most=4 * n_masks + 15 * n_runs)
    counts = np.frombuffer(raw, "<u4", n_masks).astype(np.int64)
    if int(counts.sum()) != n_runs:
        raise MediaError("mask file: the runs of the masks do not add up; the file is damaged")
    small = np.frombuffer(raw, np.int8, 3 * n_runs, 4 * n_masks).astype(np.int32)
    places = np.flatnonzero(small == _ESCAPE)
    planes = raw[4 * n_masks + 3 * n_runs :]
    if len(planes) != 4 * len(places):
        raise MediaError("mask file: escaped values are missing or left over; the file is damaged")
    small[places] = _from_planes(planes)
    rows, starts, ends = (_sums(part, counts) for part in small.reshape(3, n_runs))
    _check_runs(rows, starts, ends, counts, height, width)
    edges = np.stack([starts, ends], axis=1)
    edges += (rows * width)[:, None]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(2 * counts)])
    return MaskSequence(n_frames, n_objects, height, width, edges.reshape(-1), offsets)


def _open(data: bytes) -> tuple[tuple[int, int, int, int, int], bytes]:
    """Header fields and the zstd frame; length and checksum verified."""
    start = _HEAD.size + _CRC.size
    if data[:4] == MAGIC and len(data) < start:
        raise MediaError(f"mask file: cut off: {len(data)} bytes, its header has {start}; copy it again")
    if data[:4] != MAGIC:
        raise MediaError(f"mask file: got {data[:4]!r}, expected {MAGIC!r} and a {start}-byte header")
    _, version, _, n_frames, n_objects, height, width, n_runs = _HEAD.unpack_from(data)
    if version < VERSION:
        raise MediaError(
            f"mask file: version {version}, from an older MVideo; run the segment stage again (this reader: {VERSION})"
        )
    if version > VERSION:
        raise MediaError(f"mask file: got version {version}, expected {VERSION}; update the program")
    if zlib.crc32(data[start:], zlib.crc32(data[: _HEAD.size])) != _CRC.unpack_from(data, _HEAD.size)[0]:
        raise MediaError("mask file: the checksum does not match; the file is truncated or damaged")
    check_shape(n_frames, n_objects, height, width)
    if n_runs > MAX_RUNS:
        raise MediaError(f"mask file: {n_runs} runs; at most {MAX_RUNS} allowed")
    return (n_frames, n_objects, height, width, n_runs), data[start:]


def _decompress(frame: bytes, at_least: int, at_most: int) -> bytes:
    """The streams, whose total length must be within known bounds."""
    try:
        size = zstandard.frame_content_size(frame)
        if not at_least <= size <= at_most:
            raise MediaError(
                f"mask file: streams of {size} bytes, {at_least} to {at_most} allowed; the file is damaged"
            )
        raw = zstandard.ZstdDecompressor().decompress(frame, max_output_size=max(size, 1))
    except zstandard.ZstdError as error:
        raise MediaError(f"mask file: the streams cannot be decompressed: {error}") from None
    if len(raw) != size:
        raise MediaError(f"mask file: the streams have {len(raw)} bytes, announced were {size}")
    return raw


class _Streams(NamedTuple):
    """Rows, starts and ends of some consecutive masks: int8 with `_ESCAPE`, and the escaped values."""

    small: list[np.ndarray]
    escapes: list[np.ndarray]


def _parts(offsets: np.ndarray) -> Iterator[tuple[int, int]]:
    """The masks [first, last) of parts with about `_EDGES_AT_ONCE` edges: no mask depends on another, and the
    differences of a whole clip take several times the memory of its runs.
    """
    wanted = np.arange(0, int(offsets[-1]) + 1, _EDGES_AT_ONCE)
    cuts = sorted({0, len(offsets) - 1, *np.searchsorted(offsets, wanted).tolist()})
    return pairwise(cuts if len(cuts) > 1 else [0, 0])


def _streams(sequence: MaskSequence, first: int, last: int) -> _Streams:
    """The streams of masks [first, last)."""
    offsets = sequence.offsets[first : last + 1]
    edges, counts = sequence.edges[offsets[0] : offsets[-1]], np.diff(offsets) // 2
    starts, ends = edges[0::2], edges[1::2]
    rows = starts // sequence.width
    parts = [
        _differences(values, counts) for values in (rows, starts - rows * sequence.width, ends - rows * sequence.width)
    ]
    small = [np.where(_is_large(part), _ESCAPE, part).astype(np.int8) for part in parts]
    return _Streams(small, [part[_is_large(part)] for part in parts])


def _is_large(differences: np.ndarray) -> np.ndarray:
    """Which differences need an escape."""
    return (differences <= _ESCAPE) | (differences >= -_ESCAPE)


def _differences(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Each value minus the one before in its mask; masks have `counts` values each."""
    differences = np.diff(values, prepend=np.int32(0))
    first = (np.cumsum(counts) - counts)[counts > 0]
    differences[first] = values[first]
    return differences


def _sums(differences: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The inverse of `_differences`. Damaged input may wrap around; the runs are checked."""
    sums = np.cumsum(differences, dtype=np.int32)
    full = counts[counts > 0]
    before = np.concatenate([np.zeros(1, np.int32), sums])[np.cumsum(full) - full]
    return sums - np.repeat(before, full)


def _to_planes(values: np.ndarray) -> bytes:
    """int32 values as four byte planes, the lowest bytes first: the upper planes are nearly constant."""
    return values.astype("<i4").view(np.uint8).reshape(-1, 4).T.tobytes()


def _from_planes(planes: bytes) -> np.ndarray:
    """The inverse of `_to_planes`."""
    return np.frombuffer(planes, np.uint8).reshape(4, -1).T.copy().view("<i4").reshape(-1)


def _check_runs(
    rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, counts: np.ndarray, height: int, width: int
) -> None:
    """Raise MediaError unless the runs of every mask are inside the frame, maximal and in reading order."""
    if not len(rows):
        return
    inside = rows.min() >= 0 and rows.max() < height and starts.min() >= 0 and ends.max() <= width
    ordered = (rows[1:] > rows[:-1]) | ((rows[1:] == rows[:-1]) & (starts[1:] > ends[:-1]))
    first = np.cumsum(counts)[:-1]
    ordered[first[(first > 0) & (first < len(rows))] - 1] = True
    if not (inside and ordered.all() and np.all(starts < ends)):
        raise MediaError("mask file: runs overlap or leave the frame; the file is damaged")
