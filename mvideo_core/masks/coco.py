"""COCO run lengths (column-major, alternating background and foreground) in and out, as SA-V stores them.

A masklet file of SA-V (`{video_id}_manual.json`) has under "masklet" a list [frame][object] of
{"size": [H, W], "counts": text}.
Reading and writing is done here, bounds checked, because the reference decoder trusts its input.
Source: maskApi.c of cocodataset/cocoapi (rleToString, rleFrString).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.codec import MaskSequence, MaskWriter, check_shape


def to_coco(sequence: MaskSequence) -> list[list[dict[str, Any]]]:
    """The clip as [frame][object] of {"size": [H, W], "counts": str}, compressed COCO run lengths."""
    size = [sequence.height, sequence.width]
    return [
        [{"size": size, "counts": to_text(counts_of(mask_HW))} for mask_HW in sequence.frame(frame)]
        for frame in range(sequence.n_frames)
    ]


def from_coco(masklet: Sequence[Sequence[dict[str, Any]]]) -> MaskSequence:
    """The clip of [frame][object] COCO run lengths; counts as text, bytes or a list of numbers.

    Raises:
        MediaError: no mask to take the size from, sizes or object counts that differ, damaged counts.
    """
    try:
        height, width = (int(side) for side in masklet[0][0]["size"])
        if not all(isinstance(mask, dict) and "counts" in mask for frame in masklet for mask in frame):
            raise TypeError
    except (IndexError, KeyError, TypeError, ValueError):
        raise MediaError("COCO masks: [frame][object] of {'size': [H, W], 'counts': ...} wanted") from None
    check_shape(len(masklet), len(masklet[0]), height, width)
    writer = MaskWriter(len(masklet[0]), height, width)
    for index, frame in enumerate(masklet):
        if len(frame) != len(masklet[0]) or any(list(mask.get("size", ())) != [height, width] for mask in frame):
            raise MediaError(f"COCO masks: frame {index} has another number of objects or another size than frame 0")
        writer.append(np.stack([pixels_of(mask["counts"], height, width) for mask in frame]))
    return writer.finish()


def counts_of(mask_HW: np.ndarray) -> np.ndarray:
    """Uncompressed counts of one bool mask: lengths of 0s, 1s, 0s, ... column by column; the first may be 0."""
    column_major = np.ravel(mask_HW, order="F")
    changes = np.flatnonzero(column_major[1:] != column_major[:-1]) + 1
    stops = np.concatenate([[0] if column_major[0] else [], changes, [column_major.size]]).astype(np.int64)
    return np.diff(stops, prepend=0)


def pixels_of(counts: str | bytes | Sequence[int], height: int, width: int) -> np.ndarray:
    """The bool mask (H, W) of COCO counts.

    Raises:
        MediaError: a negative run, or runs that do not sum to H * W.
    """
    runs = from_text(counts) if isinstance(counts, str | bytes) else np.asarray(counts, np.int64)
    if runs.ndim != 1 or np.any(runs < 0) or np.any(runs > height * width) or int(runs.sum()) != height * width:
        raise MediaError(f"COCO counts: runs of 0 or more that sum to {height * width} px wanted")
    values = np.zeros(len(runs), np.bool_)
    values[1::2] = True
    return np.repeat(values, runs).reshape(width, height).T


def to_text(counts: np.ndarray) -> str:
    """Compressed text of counts: from the fourth on the difference to two before, 5 bits a character, "0" = 0."""
    deltas = counts.astype(np.int64)
    deltas[3:] -= counts[1:-2]
    out = bytearray()
    for value in deltas.tolist():
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            out.append((bits | 0x20 if more else bits) + 48)
    return out.decode("ascii")


def from_text(text: str | bytes) -> np.ndarray:
    """Counts of compressed text, int64.

    Raises:
        MediaError: a character outside "0" to "o", a cut number, or one beyond 35 bits.
    """
    try:
        raw = np.frombuffer(text.encode("ascii") if isinstance(text, str) else text, np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise MediaError("COCO counts: characters outside ASCII") from None
    if len(raw) == 0:
        return np.zeros(0, np.int64)
    last = (raw & 0x20) == 0
    if np.any((raw < 0) | (raw > 63)) or not last[-1]:
        raise MediaError("COCO counts: not compressed run lengths")
    ends = np.flatnonzero(last)
    lengths = np.diff(ends, prepend=-1)
    if lengths.max() > 7:
        raise MediaError("COCO counts: a run length beyond 35 bits")
    place = np.arange(len(raw)) - np.repeat(ends - lengths + 1, lengths)
    values = np.add.reduceat((raw & 0x1F) << (5 * place), ends - lengths + 1)
    values -= np.where(raw[ends] & 0x10, np.int64(1) << (5 * lengths), 0)
    for parity in (1, 2):
        values[parity::2] = np.cumsum(values[parity::2])
    return values
