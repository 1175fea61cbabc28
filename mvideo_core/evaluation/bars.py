"""Detect letterboxing: black bars around the picture, the same in every video of a system, so they can be cropped.

A bar is dark in every sampled frame of every sampled video, and a bar of about the same width is on the opposite side,
so a night sky in one scene does not count. Shape letters: T frames, H, W, C.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.aggregate import GroupKey, group_of
from mvideo_core.evaluation.failed_videos import absence_of
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.media.decode import sample_frames
from mvideo_core.media.probe import probe

NO_BARS = (0, 0, 0, 0)
DARK = 32
"""0 to 255: 99 of 100 pixels in a bar's row are at most this bright (compression leaves noise in black)."""
MIN_BAR_PX = 4
MAX_UNEVEN_PX = 4
"""Opposite bars differ by at most this: the picture is centered except for rounding."""
MAX_VIDEOS = 8
"""Videos sampled per system."""
FRAMES = 3

Bars = tuple[int, int, int, int]


def bars_in(clips_THWC: Sequence[np.ndarray]) -> Bars:
    """Bars above, below, left and right that clips of one size share, in pixels; 0 = no bar.

    Args:
        clips_THWC: uint8 RGB; frames with nothing bright are ignored.
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
    """Bars of every item whose system has any: the bars that all its videos of one size share."""
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
    """Add the bars of their systems' videos to the items; bars given in a manifest are kept."""
    found = bars_of(items)
    return [item.model_copy(update={"bars_px": found.get((group_of(item), item.id), item.bars_px)}) for item in items]


def _pair(dark: np.ndarray) -> tuple[int, int]:
    """Widths of the dark runs at both ends of an axis; zeros unless they form a pair of bars."""
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
