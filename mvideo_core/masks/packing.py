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
    counts   u8   runs of each of those rows, masks in order t * N + n; 255: the number is in `escapes`.
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

from mvideo_core.base.errors import MediaError
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
    """Non-empty rows of a clip, and which of their edges predicts which, from the run counts alone.

    Attributes:
        n_edges: int32 per row, 2 * runs.
        chained: per row: it has as many edges as the adjacent row above, each predicted from its counterpart. Other
            rows are heads.
        head_edges: indices of the edges of all head rows.
        parents: per head edge the edge that predicts it, -1: none.
        above: per head edge whether that one is in the row above.
    """

    n_edges: np.ndarray
    chained: np.ndarray
    head_edges: np.ndarray
    parents: np.ndarray
    above: np.ndarray

    def by_stream(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks over all edges: starts and ends predicted from above, and the others."""
        above = np.ones(int(self.n_edges.sum()), np.bool_)
        above[self.head_edges] = self.above
        starts, ends = above.copy(), above.copy()
        starts[1::2] = False
        ends[0::2] = False
        return starts, ends, ~above


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
    residuals = _residuals(edge_x, rows)
    zigzag = ((residuals << 1) ^ (residuals >> 31)).view(np.uint32)
    parts = [dense_counts, *(zigzag[stream] for stream in rows.by_stream())]
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

    Every count is checked before memory is allocated for it: the largest accepted file decodes within about 1.5 GB, a
    typical one (100,000 runs) within 10 MB.

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
        raise MediaError("mask file: the run counts of the rows do not add up; the file is damaged")
    rows, row_of_mask, row_y = _rows_from(dense_counts, tops, heights)
    zigzag = np.empty(2 * n_runs, np.uint32)
    for stream, part in zip(rows.by_stream(), (starts, ends, others), strict=True):
        if int(np.count_nonzero(stream)) != len(part):
            raise MediaError("mask file: residuals and rows do not match; the file is damaged")
        zigzag[stream] = part
    x = _resolve((zigzag >> 1).astype(np.int32) ^ -(zigzag & 1).astype(np.int32), rows)
    _check_edges(x, rows.n_edges, width)
    edges = x + np.repeat((row_y * width).astype(np.int32), rows.n_edges)
    lengths = np.bincount(row_of_mask, weights=rows.n_edges, minlength=n_masks).astype(np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return MaskSequence(n_frames, n_objects, height, width, edges, offsets)


def _open(data: bytes) -> tuple[tuple[int, int, int, int, int], list[bytes]]:
    """Header fields and the six compressed streams, lengths and checksum verified."""
    start = _HEAD.size + _CRC.size
    if len(data) < start or data[:4] != MAGIC:
        raise MediaError(f"mask file: got {data[:4]!r}, expected {MAGIC!r} and a {start}-byte header")
    _, version, _, n_frames, n_objects, height, width, n_runs, *sizes = _HEAD.unpack_from(data)
    if version != VERSION:
        raise MediaError(f"mask file: got version {version}, expected {VERSION}; update the program")
    if len(data) != start + sum(sizes):
        raise MediaError(f"mask file: got {len(data)} bytes, expected {start + sum(sizes)}; it is truncated or padded")
    if zlib.crc32(data[start:], zlib.crc32(data[: _HEAD.size])) != _CRC.unpack_from(data, _HEAD.size)[0]:
        raise MediaError("mask file: the checksum does not match; the file is damaged")
    check_shape(n_frames, n_objects, height, width)
    if n_runs > MAX_RUNS:
        raise MediaError(f"mask file: {n_runs} runs; at most {MAX_RUNS} allowed")
    stops = np.cumsum(sizes) + start
    return (n_frames, n_objects, height, width, n_runs), [
        data[stop - size : stop] for stop, size in zip(stops.tolist(), sizes, strict=True)
    ]


def _stream(frame: bytes, at_least: int, at_most: int) -> bytes:
    """One decompressed stream, whose length must be within known bounds."""
    try:
        size = zstandard.frame_content_size(frame)
        if not at_least <= size <= at_most:
            raise MediaError(f"mask file: a stream of {size} bytes, {at_least} to {at_most} allowed")
        raw = zstandard.ZstdDecompressor().decompress(frame, max_output_size=max(size, 1))
    except zstandard.ZstdError as error:
        raise MediaError(f"mask file: a stream cannot be decompressed: {error}") from None
    if len(raw) != size:
        raise MediaError(f"mask file: a stream has {len(raw)} bytes, announced were {size}")
    return raw


def _unescape(raw: list[bytes], escapes: np.ndarray) -> list[np.ndarray]:
    """The four byte streams as uint32, with escaped values filled in."""
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
    return _link_rows(2 * counts[full].astype(np.int32), adjacent), mask_of_row, y


def _link_rows(n_edges: np.ndarray, adjacent: np.ndarray) -> _Rows:
    """The rows with their predictions."""
    n_above = np.zeros_like(n_edges)
    n_above[1:] = np.where(adjacent[1:], n_edges[:-1], 0)
    chained = n_edges == n_above
    heads = np.flatnonzero(~chained)
    first = np.cumsum(n_edges, dtype=np.int64) - n_edges
    n, m = np.repeat(n_edges[heads], n_edges[heads]), np.repeat(n_above[heads], n_edges[heads])
    j = np.arange(len(n)) - np.repeat(np.cumsum(n_edges[heads]) - n_edges[heads], n_edges[heads])
    here = np.repeat(first[heads], n_edges[heads])
    half = np.minimum(n, m) >> 1
    from_left, from_right = j < half, n - j <= half
    parents = np.where(j > 0, here + j - 1, -1)
    parents = np.where(from_right, here - n + j, parents)  # the row above ends where this one starts
    parents = np.where(from_left, here - m + j, parents)
    return _Rows(n_edges, chained, here + j, parents, from_left | from_right)


def _residuals(x: np.ndarray, rows: _Rows) -> np.ndarray:
    """x of every edge minus the x that predicts it."""
    index = np.arange(len(x)) - np.repeat(rows.n_edges, rows.n_edges)
    residuals = x - x[np.maximum(index, 0)]
    has = rows.parents >= 0
    residuals[rows.head_edges] = x[rows.head_edges] - np.where(has, x[rows.parents], 0)
    return residuals


def _resolve(residuals: np.ndarray, rows: _Rows) -> np.ndarray:
    """x of every edge: the inverse of `_residuals`.

    A head row and the chained rows below it form a block whose edges are summed down its columns at once; the start
    values of the columns are then found by pointer doubling over the few heads.
    """
    if len(residuals) == 0:
        return residuals
    heads = np.flatnonzero(~rows.chained)
    lengths = np.diff(np.append(heads, len(rows.chained)))  # rows of each block
    n_block = rows.n_edges[heads]
    start = np.cumsum(lengths * n_block) - lengths * n_block
    sizes = lengths * n_block
    within = np.arange(len(residuals), dtype=np.int32) - np.repeat(start.astype(np.int32), sizes)
    n, length = np.repeat(n_block, sizes), np.repeat(lengths.astype(np.int32), sizes)
    row = within // n
    column = within - row * n
    place = np.repeat(start.astype(np.int32), sizes) + column * length + row  # column by column
    ordered = np.empty_like(residuals)
    ordered[place] = residuals
    sums = np.cumsum(ordered, dtype=np.int32)  # wraps around on damaged input, harmlessly: the differences are checked
    head_place = place[rows.head_edges]
    column_of_edge = np.repeat(np.cumsum(n_block) - n_block, sizes) + column
    before = sums[head_place] - ordered[head_place]
    local = sums[place] - before[column_of_edge]
    base, up = np.zeros(len(head_place), np.int32), rows.parents.copy()
    has = up >= 0
    base[has] = local[up[has]]
    up[has] = column_of_edge[up[has]]
    active = np.flatnonzero(has)
    while len(active):
        target = up[active]
        base[active] += base[target]
        up[active] = up[target]
        active = active[up[active] >= 0]
    x: np.ndarray = local + base[column_of_edge]
    return x


def _check_edges(x: np.ndarray, n_edges: np.ndarray, width: int) -> None:
    """Raises MediaError unless 0 <= x <= W and x rises within every row."""
    rising = np.ones(len(x), np.bool_)
    rising[1:] = x[1:] > x[:-1]
    rising[np.cumsum(n_edges) - n_edges] = True
    if not rising.all() or (len(x) and (x.min() < 0 or x.max() > width)):
        raise MediaError("mask file: runs overlap or leave the frame; the file is damaged")
