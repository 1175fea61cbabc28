"""Black bars around the picture, the same in every video of a system: letterboxing, found so that it can be cropped.

A bar is dark in every frame looked at of every video looked at, and there is one of about the same width on the other
side: a night sky above one scene is none. Shape letters: T frames, H, W, C.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.aggregate import GroupKey, group_of
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.unmade import absence_of
from mvideo_core.media.decode import sample_frames
from mvideo_core.media.probe import probe

NO_BARS = (0, 0, 0, 0)
DARK = 32
"""Levels of 255: a row of a bar is no brighter than this in 99 of 100 pixels (compression leaves noise in black)."""
MIN_BAR_PX = 4
MAX_UNEVEN_PX = 4
"""Bars of one picture differ by no more: it is centered but for rounding."""
MAX_VIDEOS = 8
"""Looked at, of each system."""
FRAMES = 3

Bars = tuple[int, int, int, int]


def bars_in(clips_THWC: Sequence[np.ndarray]) -> Bars:
    """Bars above, below, left and right that all of some clips of one size have, px; zeros where there are none.

    Args:
        clips_THWC: uint8 RGB; frames without anything bright in them say nothing.
    """
    dark_H, dark_W = None, None
    for frame in (frame for clip in clips_THWC for frame in clip):
        bright = frame.max(axis=2) > DARK
        if bright.mean() < 0.01:
            continue
        rows, columns = bright.mean(axis=1) <= 0.01, bright.mean(axis=0) <= 0.01
        dark_H = rows if dark_H is None else dark_H & rows
        dark_W = columns if dark_W is None else dark_W & columns
    if dark_H is None or dark_W is None:
        return NO_BARS
    return *_pair(dark_H), *_pair(dark_W)


def bars_of(items: Sequence[EvalItem]) -> dict[tuple[GroupKey, str], Bars]:
    """The bars of every item that has some, by its system: those that all videos of one size share."""
    groups: dict[tuple[GroupKey, tuple[int, int]], list[EvalItem]] = {}
    for item in items:
        if absence_of(item.video) is None and item.bars_px == NO_BARS and (size := _size(item.video)):
            groups.setdefault((group_of(item), size), []).append(item)
    found: dict[tuple[GroupKey, str], Bars] = {}
    for (key, _), members in groups.items():
        clips = [clip for item in members[:MAX_VIDEOS] if (clip := _sample_video(item.video)) is not None]
        if clips and (bars := bars_in(clips)) != NO_BARS:
            found |= {(key, item.id): bars for item in members}
    return found


def with_bars(items: Sequence[EvalItem]) -> list[EvalItem]:
    """The items with the bars that their systems' videos have; what a manifest says of bars stays."""
    found = bars_of(items)
    return [item.model_copy(update={"bars_px": found.get((group_of(item), item.id), item.bars_px)}) for item in items]


def _pair(dark: np.ndarray) -> tuple[int, int]:
    """Widths of the dark runs at both ends of a side; zeros unless they are a pair of bars."""
    if dark.all():
        return 0, 0
    first, last = int(np.argmin(dark)), int(np.argmin(dark[::-1]))
    even = abs(first - last) <= MAX_UNEVEN_PX
    return (first, last) if even and min(first, last) >= MIN_BAR_PX else (0, 0)


@lru_cache(maxsize=4096)
def _size(video: str) -> tuple[int, int] | None:
    try:
        info = probe(video)
    except MediaError:
        return None
    return info.height, info.width


@lru_cache(maxsize=64)
def _sample_video(video: str) -> np.ndarray | None:
    try:
        return sample_frames(video, FRAMES)
    except MediaError:
        return None
