"""`.masks` files, version 1: a header and six zstd frames. Numbers are little-endian.

    offset  type     content
    0       4 bytes  "MVMS"
    4       u16      version, 1
    6       u16      0
    8       5 x u32  T frames, N objects, H rows, W columns, R runs
    28      6 x u32  compressed bytes of the six streams
    52      u32      CRC-32 of everything else: bytes 0-51, then the streams
    56               the streams, one zstd frame each, in this order

    spans    u16  T * N top rows, then T * N heights; a mask covers rows [top, top + height), height 0 = empty mask.
    counts   u8   runs of each of those rows, masks in order t * N + n; 255: the number stands in `escapes`.
    starts   u8   residuals of run starts that are predicted from the row above.
    ends     u8   the same for run ends.
    others   u8   residuals of edges without a counterpart above.
    escapes  u32  values of 255 and more of counts, starts, ends, others, in this order.

A row with n edges (2 per run) below an adjacent row of the same mask with m > 0 edges pairs its edges with those above:
all of them if n = m, else the first and the last min(n, m) / 2. A paired edge stores its x minus the x above. Every
other edge stores its x minus the x of the edge before it in its row, the first edge its x itself. Residuals are zigzag
coded: 0, -1, 1, -2, ... = 0, 1, 2, 3, ... The edges of each of the three streams follow in reading order: frame,
object, row, x.

Why: outlines hardly move from one row to the next, so most residuals are 0 or 1 and cost about two bits after zstd. On
97 frames x 3 objects of 480 x 720 (three drawn sets, outlines of 140,000 edges) this was 0.52 to 0.59 of COCO run
lengths as JSON under zstd-3.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import zstandard

from mvideo_core.errors import MediaError
from mvideo_core.masks.codec import MaskSequence, check_shape

MAGIC = b"MVMS"
VERSION = 1
MAX_RUNS = 1 << 24
LEVEL = 3
_HEAD = struct.Struct("<4sHH5I6I")
_CRC = struct.Struct("<I")
_ESCAPE = 255


@dataclass(frozen=True, slots=True)
class _Rows:
    """Non-empty rows of a clip. `adjacent`: the row before it in the list is the row above it in the same mask."""

    counts: np.ndarray
    adjacent: np.ndarray


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Per edge: index of the edge it is predicted from (-1: none), and whether that one lies in the row above."""

    parent: np.ndarray
    above: np.ndarray


def pack(sequence: MaskSequence) -> bytes:
    """Bytes of a `.masks` file.

    Raises:
        MediaError: more than 2**24 runs in the clip (masks of noise).
    """
    n_runs = len(sequence.edges) // 2
    if n_runs > MAX_RUNS:
        raise MediaError(f"masks with {n_runs} runs: at most {MAX_RUNS} fit one file; split the clip")
    starts, ends = sequence.edges[0::2], sequence.edges[1::2]
    run_rows = starts // sequence.width
    edge_x = np.empty(2 * n_runs, np.int32)
    edge_x[0::2] = starts - run_rows * sequence.width
    edge_x[1::2] = ends - run_rows * sequence.width
    spans, dense_counts, rows = _rows_of(sequence, run_rows)
    pairs = _pair(rows)
    residuals = edge_x.copy()
    has = pairs.parent >= 0
    residuals[has] -= edge_x[pairs.parent[has]]
    zigzag = ((residuals << 1) ^ (residuals >> 31)).astype(np.uint32)
    is_start = _starts_mask(len(zigzag))
    parts = [dense_counts, zigzag[pairs.above & is_start], zigzag[pairs.above & ~is_start], zigzag[~pairs.above]]
    escapes = np.concatenate([part[part >= _ESCAPE] for part in parts])
    raws = [spans.tobytes(), *(np.minimum(part, _ESCAPE).astype(np.uint8).tobytes() for part in parts)]
    raws.append(escapes.astype("<u4").tobytes())
    squeeze = zstandard.ZstdCompressor(level=LEVEL)
    streams = [squeeze.compress(raw) for raw in raws]
    head = _HEAD.pack(MAGIC, VERSION, 0, *sequence.shape, n_runs, *map(len, streams))
    body = b"".join(streams)
    return head + _CRC.pack(zlib.crc32(body, zlib.crc32(head))) + body


def unpack(data: bytes) -> MaskSequence:
    """The sequence in the bytes of a `.masks` file.

    Every count is checked before memory is taken for it: the largest file this accepts decodes within about 1.5 GB, a
    usual one (100,000 runs) within 10 MB.

    Raises:
        MediaError: not a mask file, another version, damaged, or beyond the limits.
    """
    (n_frames, n_objects, height, width, n_runs), streams = _open(data)
    n_masks = n_frames * n_objects
    spans = np.frombuffer(_stream(streams[0], 4 * n_masks, 4 * n_masks), "<u2").astype(np.int64)
    tops, heights = spans[:n_masks], spans[n_masks:]
    if np.any(tops + heights > height):
        raise MediaError("mask file: a mask reaches below its frame; the file is damaged")
    n_rows = int(heights.sum())
    if n_rows > n_runs + n_masks * height:
        raise MediaError("mask file: more rows than the frame has; the file is damaged")
    raw = [_stream(streams[1], n_rows, n_rows)] + [_stream(stream, 0, 2 * n_runs) for stream in streams[2:5]]
    escapes = np.frombuffer(_stream(streams[5], 0, 4 * (n_rows + 2 * n_runs)), "<u4")
    dense_counts, starts, ends, others = _unescape(raw, escapes)
    if int(dense_counts.sum()) != n_runs or int(dense_counts.max(initial=0)) > (width + 1) // 2:
        raise MediaError("mask file: the runs of the rows do not add up; the file is damaged")
    rows, row_of_mask, row_y = _rows_from(dense_counts, tops, heights)
    pairs = _pair(rows)
    is_start = _starts_mask(2 * n_runs)
    zigzag = np.empty(2 * n_runs, np.uint32)
    for place, part in ((pairs.above & is_start, starts), (pairs.above & ~is_start, ends), (~pairs.above, others)):
        if int(np.count_nonzero(place)) != len(part):
            raise MediaError("mask file: residuals and rows do not agree; the file is damaged")
        zigzag[place] = part
    x = _resolve((zigzag >> 1).astype(np.int32) ^ -(zigzag & 1).astype(np.int32), pairs.parent)
    _check_edges(x, rows.counts, width)
    edges = x + np.repeat(row_y * width, 2 * rows.counts).astype(np.int32)
    lengths = np.bincount(row_of_mask, weights=2 * rows.counts, minlength=n_masks).astype(np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return MaskSequence(n_frames, n_objects, height, width, edges, offsets)


def _open(data: bytes) -> tuple[tuple[int, int, int, int, int], list[bytes]]:
    """Header fields and the six compressed streams, lengths and checksum verified."""
    start = _HEAD.size + _CRC.size
    if len(data) < start or data[:4] != MAGIC:
        raise MediaError(f"mask file: {data[:4]!r} seen, {MAGIC!r} and a {start}-byte header wanted")
    _, version, _, n_frames, n_objects, height, width, n_runs, *sizes = _HEAD.unpack_from(data)
    if version != VERSION:
        raise MediaError(f"mask file: version {version} seen, {VERSION} wanted; update the program")
    if len(data) != start + sum(sizes):
        raise MediaError(f"mask file: {len(data)} bytes seen, {start + sum(sizes)} wanted; the file is cut or padded")
    if zlib.crc32(data[start:], zlib.crc32(data[: _HEAD.size])) != _CRC.unpack_from(data, _HEAD.size)[0]:
        raise MediaError("mask file: the checksum does not fit; the file is damaged")
    check_shape(n_frames, n_objects, height, width)
    if n_runs > MAX_RUNS:
        raise MediaError(f"mask file: {n_runs} runs seen, at most {MAX_RUNS} allowed")
    stops = np.cumsum(sizes) + start
    return (n_frames, n_objects, height, width, n_runs), [
        data[stop - size : stop] for stop, size in zip(stops.tolist(), sizes, strict=True)
    ]


def _stream(frame: bytes, at_least: int, at_most: int) -> bytes:
    """One decompressed stream of a length known beforehand within bounds."""
    try:
        size = zstandard.frame_content_size(frame)
        if not at_least <= size <= at_most:
            raise MediaError(f"mask file: a stream of {size} bytes, {at_least} to {at_most} allowed")
        raw = zstandard.ZstdDecompressor().decompress(frame, max_output_size=max(size, 1))
    except zstandard.ZstdError as error:
        raise MediaError(f"mask file: a stream cannot be decompressed: {error}") from None
    if len(raw) != size:
        raise MediaError(f"mask file: a stream of {len(raw)} bytes announced as {size}")
    return raw


def _unescape(raw: list[bytes], escapes: np.ndarray) -> list[np.ndarray]:
    """The four byte streams as uint32, escaped places filled in."""
    values, used = [], 0
    for part in raw:
        value = np.frombuffer(part, np.uint8).astype(np.uint32)
        places = np.flatnonzero(value == _ESCAPE)
        if used + len(places) > len(escapes):
            raise MediaError("mask file: too few escaped values; the file is damaged")
        value[places] = escapes[used : used + len(places)]
        used += len(places)
        values.append(value)
    if used != len(escapes) or np.any(escapes >= 1 << 18):
        raise MediaError("mask file: escaped values left over or out of range; the file is damaged")
    return values


def _starts_mask(n_edges: int) -> np.ndarray:
    mask = np.zeros(n_edges, np.bool_)
    mask[0::2] = True
    return mask


def _rows_of(sequence: MaskSequence, run_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, _Rows]:
    """Spans (uint16, 2 per mask), run counts of all rows within the spans, and the non-empty rows."""
    lengths = np.diff(sequence.offsets) // 2
    n_masks = len(lengths)
    tops, heights = np.zeros(n_masks, np.int64), np.zeros(n_masks, np.int64)
    full = np.flatnonzero(lengths)
    tops[full] = run_rows[(sequence.offsets[:-1] // 2)[full]]
    heights[full] = run_rows[(sequence.offsets[1:] // 2)[full] - 1] - tops[full] + 1
    first = np.cumsum(heights) - heights - tops  # place of row 0 of each mask in the dense list
    dense = np.repeat(first, lengths) + run_rows
    counts = np.bincount(dense, minlength=int(heights.sum()))
    rows, _, _ = _rows_from(counts, tops, heights)
    return np.concatenate([tops, heights]).astype("<u2"), counts.astype(np.uint32), rows


def _rows_from(counts: np.ndarray, tops: np.ndarray, heights: np.ndarray) -> tuple[_Rows, np.ndarray, np.ndarray]:
    """Non-empty rows, and for each of them its mask's index and its y."""
    mask_of_row = np.repeat(np.arange(len(heights)), heights)
    y = np.arange(len(counts)) - np.repeat(np.cumsum(heights) - heights - tops, heights)
    full = np.flatnonzero(counts)
    mask_of_row, y = mask_of_row[full], y[full]
    adjacent = np.zeros(len(full), np.bool_)
    adjacent[1:] = (mask_of_row[1:] == mask_of_row[:-1]) & (y[1:] == y[:-1] + 1)
    return _Rows(counts[full].astype(np.int32), adjacent), mask_of_row, y


def _pair(rows: _Rows) -> _Pairs:
    """Which edge predicts which, from the run counts alone (so that the reader finds the same)."""
    n_row = 2 * rows.counts
    m_row = np.where(rows.adjacent, np.roll(n_row, 1), 0).astype(np.int32)
    first = (np.cumsum(n_row) - n_row).astype(np.int32)
    first_above = np.roll(first, 1)
    n = np.repeat(n_row, n_row)
    m = np.repeat(m_row, n_row)
    index = np.arange(len(n), dtype=np.int32)
    j = index - np.repeat(first, n_row)
    half = np.minimum(n, m) >> 1
    from_left = (j < half) | (n == m)
    above = from_left | (n - j <= half)
    parent = np.where(from_left, j, m - n + j) + np.repeat(first_above, n_row)
    parent = np.where(above, parent, np.where(j > 0, index - 1, -1)).astype(np.int32)
    return _Pairs(parent, above)


def _resolve(residuals: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """x of every edge: the sum of residuals along its chain of parents, by pointer doubling."""
    x, parent = residuals.copy(), parent.copy()
    active = np.flatnonzero(parent >= 0)
    while len(active):
        up = parent[active]
        x[active] += x[up]
        parent[active] = parent[up]
        active = active[parent[active] >= 0]
    return x


def _check_edges(x: np.ndarray, counts: np.ndarray, width: int) -> None:
    """Raises MediaError unless 0 <= x <= W and x rises within every row."""
    rising = np.ones(len(x), np.bool_)
    rising[1:] = x[1:] > x[:-1]
    rising[np.cumsum(2 * counts) - 2 * counts] = True
    if not rising.all() or (len(x) and (x.min() < 0 or x.max() > width)):
        raise MediaError("mask file: runs overlap or leave the frame; the file is damaged")
