"""Area, box and overlap of masks, computed directly on their edges, without decoding pixels; `pixel_iou` takes pixels.

`edges` are int32 row-major positions `start, end, start, end, ...` as in `codec.py`. Intersection evaluates the running
area of one mask at the edges of the other: |A and B| = sum over runs of A of F(end) - F(start), F(p) = pixels of B
before p.
"""

import numpy as np

from mvideo_core.masks.codec import MaskSequence


def area(edges: np.ndarray) -> int:
    """Pixels of a mask."""
    return int(edges[1::2].sum(dtype=np.int64) - edges[0::2].sum(dtype=np.int64))


def box_xyxy(edges: np.ndarray, width: int) -> tuple[int, int, int, int]:
    """Tight box (x0, y0, x1, y1), half-open, of a mask in frames `width` px wide; (0, 0, 0, 0) if empty."""
    if len(edges) == 0:
        return 0, 0, 0, 0
    starts, ends = edges[0::2], edges[1::2]
    rows = starts // width
    x = starts - rows * width
    return int(x.min()), int(rows[0]), int((ends - rows * width).max()), int(rows[-1]) + 1


def intersection(edges_a: np.ndarray, edges_b: np.ndarray) -> int:
    """Pixels in both masks of one frame."""
    if len(edges_a) == 0 or len(edges_b) == 0:
        return 0
    if len(edges_a) > len(edges_b):
        edges_a, edges_b = edges_b, edges_a
    starts, ends = edges_b[0::2], edges_b[1::2]
    lengths = (ends - starts).astype(np.int64)
    before = np.cumsum(lengths) - lengths
    run = np.searchsorted(starts, edges_a, side="right") - 1
    covered = np.where(run < 0, 0, before[run] + np.clip(edges_a - starts[run], 0, lengths[run]))
    return int(covered[1::2].sum() - covered[0::2].sum())


def union(edges_a: np.ndarray, edges_b: np.ndarray) -> int:
    """Pixels in either mask of one frame."""
    return area(edges_a) + area(edges_b) - intersection(edges_a, edges_b)


def iou(edges_a: np.ndarray, edges_b: np.ndarray, empty: float = 1.0) -> float:
    """Intersection over union in [0, 1]; `empty` if both masks are empty (DAVIS counts that as 1)."""
    both = intersection(edges_a, edges_b)
    either = area(edges_a) + area(edges_b) - both
    return both / either if either else empty


def pixel_iou(one: np.ndarray, other: np.ndarray) -> float:
    """As `iou`, for two bool arrays of one shape; 1 if both are empty (DAVIS's region similarity J)."""
    either = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / either if either else 1.0


def areas(sequence: MaskSequence) -> np.ndarray:
    """Pixels of every mask, int64 (T, N)."""
    runs = sequence.edges[1::2].astype(np.int64) - sequence.edges[0::2]
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(runs)])
    return np.diff(total[sequence.offsets // 2]).reshape(sequence.n_frames, sequence.n_objects)


def boxes_xyxy(sequence: MaskSequence) -> np.ndarray:
    """Tight half-open box of every mask, int64 (T, N, 4); zeros if empty."""
    boxes = [
        box_xyxy(sequence.mask_edges(frame, obj), sequence.width)
        for frame in range(sequence.n_frames)
        for obj in range(sequence.n_objects)
    ]
    return np.asarray(boxes, np.int64).reshape(sequence.n_frames, sequence.n_objects, 4)


def ious(a: MaskSequence, b: MaskSequence) -> np.ndarray:
    """IoU of object n in `a` with object n in `b`, float64 (T, N); 1 where both are empty.

    Raises:
        ValueError: the two clips differ in frames, objects or size.
    """
    if a.shape != b.shape:
        raise ValueError(f"masks of {a.shape} and {b.shape} (frames, objects, height, width) cannot be compared")
    values = [
        iou(a.mask_edges(frame, obj), b.mask_edges(frame, obj))
        for frame in range(a.n_frames)
        for obj in range(a.n_objects)
    ]
    return np.asarray(values, np.float64).reshape(a.n_frames, a.n_objects)


def drift(sequence: MaskSequence, obj: int) -> float:
    """1 - mean IoU of consecutive frames in which the object is visible in both; 0 if there are none."""
    pairs = []
    previous = sequence.mask_edges(0, obj) if sequence.n_frames else np.zeros(0, np.int32)
    for frame in range(1, sequence.n_frames):
        current = sequence.mask_edges(frame, obj)
        if len(previous) and len(current):
            pairs.append(iou(previous, current))
        previous = current
    return 1.0 - float(np.mean(pairs)) if pairs else 0.0
