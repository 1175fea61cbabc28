"""Masks as COCO's compressed run lengths, as pycocotools, YouTube-VIS and SA-V read them.

Runs go down the columns and alternate, starting with background. From the fourth on, each is stored as the difference
from the run two before it; a number is written in groups of five bits, lowest first, one printable character each.

The reader is not pycocotools' because that fills a mask whose runs end early with background and reports nothing. Tests
compare both on random masks.
"""

from typing import Any

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.codec import check_shape

_FIRST_CHARACTER = 48
_MORE = 0x20
_SIGN = 0x10
_MAX_GROUPS = 12


def coco_rle(mask_HW: np.ndarray) -> dict[str, Any]:
    """{"size": [H, W], "counts": text} of a bool mask (H, W)."""
    column_major = mask_HW.T.reshape(-1)
    ends = np.flatnonzero(column_major[1:] != column_major[:-1]) + 1
    start = [0, 0] if column_major.size and column_major[0] else [0]
    runs = np.diff(np.concatenate([start, ends, [column_major.size]])).tolist()
    return {"size": list(mask_HW.shape), "counts": _characters(runs)}


def from_coco_rle(rle: dict[str, Any]) -> np.ndarray:
    """The bool mask (H, W) of {"size": [H, W], "counts": text or a list of runs}.

    Raises:
        MediaError: not such a mask, or its runs do not fill the frame.
    """
    if not isinstance(rle, dict):
        raise MediaError("a polygon or box instead of a COCO run-length mask; convert it with pycocotools")
    try:
        height, width = (int(side) for side in rle["size"])
        counts = rle["counts"]
        check_shape(1, 1, height, width)
        runs = _runs(counts) if isinstance(counts, str) else np.asarray(counts, np.int64).reshape(-1)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise MediaError(f"not a COCO run-length mask ({error!r}): damaged, or of another form") from None
    if (runs < 0).any() or runs.sum() != height * width:
        raise MediaError(f"COCO runs of {runs.sum()} px for a frame of {width}x{height} px; the mask is damaged")
    inside = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(inside, runs).reshape(width, height).T)


def _runs(text: str) -> np.ndarray:
    """Lengths of the runs, int64: the inverse of `_characters`."""
    groups = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - _FIRST_CHARACTER
    if not len(groups):
        return groups
    lasts = np.flatnonzero(groups & _MORE == 0)
    if not len(lasts) or lasts[-1] != len(groups) - 1 or groups.min() < 0 or groups.max() >= 2 * _MORE:
        raise ValueError("damaged characters")
    firsts = np.concatenate([[0], lasts[:-1] + 1])
    lengths = lasts - firsts + 1
    if lengths.max() > _MAX_GROUPS:
        raise ValueError("a run beyond 60 bits")
    place = np.arange(len(groups)) - np.repeat(firsts, lengths)
    runs = np.add.reduceat((groups & 0x1F) << (5 * place), firsts)
    runs -= np.where(groups[lasts] & _SIGN, np.int64(1) << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def _characters(runs: list[int]) -> str:
    written = bytearray()
    for place, run in enumerate(runs):
        rest = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            bits = rest & 0x1F
            rest >>= 5
            more = rest != (-1 if bits & _SIGN else 0)
            written.append(_FIRST_CHARACTER + (bits | _MORE if more else bits))
    return written.decode("ascii")
