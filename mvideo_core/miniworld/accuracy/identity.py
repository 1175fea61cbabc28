"""Check that masklets stay on their objects through crossings and absences; choose cases and frames to show."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from mvideo_core.masks.measure import pixel_iou
from mvideo_core.miniworld.accuracy.figures import Crossing, IdentityCase, Return
from mvideo_core.miniworld.accuracy.mapping import ClipTruth, Track

OVERLAP = 0.1
OWN_IOU = 0.5
BEFORE, AFTER = 4, 8
"""Clip frames shown before a crossing or absence, and scored (and shown) after its end."""

Case = TypeVar("Case", bound=IdentityCase)


class Span(NamedTuple):
    """Clip frames of a crossing or absence, half-open: `end` is the first frame after it."""

    start: int
    end: int


class IdentityCounter:
    """Accumulates the crossings and returns of tracked objects: one small record each, no pixels."""

    def __init__(self) -> None:
        self.crossings: list[Crossing] = []
        self.returns: list[Return] = []

    def add(self, clip: ClipTruth, tracks: dict[int, Track], pairs: Mapping[int, int], found: np.ndarray) -> None:
        """Add one clip.

        Args:
            pairs: tracked object -> its masklet.
            found: (T, N, H, W) bool masklets on the clip's frames inside its shot.
        """
        for obj, index in pairs.items():
            for other in tracks:
                met = find_meeting(clip, obj, other, tracks)
                if met is not None:
                    self._cross(clip, obj, other, met, tracks, pairs, found[:, index])
            absent = find_absence(tracks[obj])
            if absent is not None:
                self._return(clip, obj, absent, tracks[obj], index, found[:, index])

    def _cross(self, clip: ClipTruth, obj: int, other: int, met: Span, tracks: dict[int, Track],
               pairs: Mapping[int, int], masks: np.ndarray) -> None:  # fmt: skip
        own, foreign = (j_after(masks, tracks[one], met.end) for one in (obj, other))
        self.crossings.append(Crossing(
            video=clip.truth.name, clip=clip.clip.key, object_id=obj, label=clip.objects[obj].label,
            mask_index=pairs[obj], other_id=other, other_label=clip.objects[other].label,
            other_mask_index=pairs.get(other, -1), from_frame=met.start, parted_frame=met.end,
            kept=own >= OWN_IOU and own > foreign, j_own=own, j_other=foreign))  # fmt: skip

    def _return(self, clip: ClipTruth, obj: int, absent: Span, track: Track, index: int, masks: np.ndarray) -> None:
        own = j_after(masks, track, absent.end)
        self.returns.append(Return(
            video=clip.truth.name, clip=clip.clip.key, object_id=obj, label=clip.objects[obj].label, mask_index=index,
            from_frame=absent.start, back_frame=absent.end, kept=own >= OWN_IOU, j_own=own))  # fmt: skip


def find_meeting(clip: ClipTruth, obj: int, other: int, tracks: dict[int, Track]) -> Span | None:
    """From the first overlap of two objects to the first frame with both fully visible; None if there is none.

    Overlap: their full silhouettes share at least OVERLAP of the smaller one, and one hides part of the other.
    """
    if obj == other:
        return None
    start = None
    for k in range(clip.n_inside):
        a, b = tracks[obj], tracks[other]
        least = min(a.amodal_area[k], b.amodal_area[k])
        hidden = max(a.amodal_area[k] - a.seen_area[k], b.amodal_area[k] - b.seen_area[k])
        shared = 0
        if least and hidden:
            shared = int((clip.amodal(k, obj) & clip.amodal(k, other)).sum())
        if least and shared >= OVERLAP * least:
            start = k if start is None and k > 0 else start
        elif start is not None and least and not shared:
            return Span(start, k)
    return None


def find_absence(track: Track) -> Span | None:
    """From the first frame out of sight to the first one clearly visible again; None if there is none."""
    gone = np.flatnonzero(track.seen_area == 0)
    if not len(gone):
        return None
    start = track.seen_area[0]
    later = np.flatnonzero(track.seen_area[gone[0] :] >= 0.5 * start)
    return Span(int(gone[0]), int(gone[0] + later[0])) if len(later) else None


def j_after(masks: np.ndarray, track: Track, end: int) -> float:
    """Mean J of a masklet (T, H, W) with an object over at most AFTER frames, starting at `end`."""
    after = range(end, min(end + AFTER, len(masks)))
    return float(np.mean([pixel_iou(masks[k], track.visible[k]) for k in after]))


def to_show(cases: Sequence[Case], n: int) -> list[Case]:
    """At most n cases: half kept, half lost (more if the others are few), kept first, evenly spaced."""
    kept, lost = ([case for case in cases if case.kept == wanted] for wanted in (True, False))
    n_kept = min(len(kept), max(n - n // 2, n - len(lost)))
    return [*_spread(kept, n_kept), *_spread(lost, min(len(lost), n - n_kept))]


def _spread(cases: Sequence[Case], n: int) -> list[Case]:
    return [cases[k] for k in np.linspace(0, len(cases) - 1, n).round().astype(int)] if n else []


def frames_to_show(case: IdentityCase, n_inside: int, n: int = 8) -> list[int]:
    """At most n clip frames, evenly from BEFORE frames before the meeting or absence to AFTER frames from its end."""
    first, last = max(0, case.from_frame - BEFORE), min(n_inside, case.over_frame + AFTER) - 1
    return sorted(set(np.linspace(first, last, n).round().astype(int).tolist()))
