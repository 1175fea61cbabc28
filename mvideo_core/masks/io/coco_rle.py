"""Masks as COCO's compressed run lengths, as pycocotools, YouTube-VIS and SA-V read them.

Runs go down the columns and alternate, starting with background. From the fourth on, each is stored as the difference
from the run two before it; a number is written in groups of five bits, lowest first, one printable character each.
"""

from typing import Any

import numpy as np

_FIRST_CHARACTER = 48
_MORE = 0x20
_SIGN = 0x10


def coco_rle(mask_HW: np.ndarray) -> dict[str, Any]:
    """{"size": [H, W], "counts": text} of a bool mask (H, W)."""
    column_major = mask_HW.T.reshape(-1)
    ends = np.flatnonzero(column_major[1:] != column_major[:-1]) + 1
    start = [0, 0] if column_major.size and column_major[0] else [0]
    runs = np.diff(np.concatenate([start, ends, [column_major.size]])).tolist()
    return {"size": list(mask_HW.shape), "counts": _characters(runs)}


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
