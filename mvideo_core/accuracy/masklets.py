"""Mask sequences against truth: J, F, groups, identity through crossings and absences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mvideo_core.accuracy.boundary import boundary_f, region_j
from mvideo_core.accuracy.figures import BadCase, MaskFigures, MaskGroup
from mvideo_core.accuracy.mapping import ClipTruth
from mvideo_core.masks import MaskSequence
from mvideo_core.records import MaskRow

SIZES = ("small", "medium", "large")
SMALL, LARGE = 0.015, 0.05
CLEAR = 0.95
OVERLAP = 0.1
OWN_IOU = 0.5
AFTER = 8


@dataclass(frozen=True)
class Followed:
    """One true object and what became of it over a clip."""

    label: str
    unseen: bool
    size: str
    occlusion: str
    matched: bool
    kept: bool
    j: float
    f: float
    first_j: float

    @property
    def j_and_f(self) -> float:
        """Mean of J and F."""
        return (self.j + self.f) / 2


@dataclass(frozen=True)
class Track:
    """Truth of one object over the clip's frames inside its shot, (T, H, W) bool and per-frame areas."""

    visible: np.ndarray
    amodal_area: np.ndarray
    seen_area: np.ndarray


class MaskCounter:
    """Adds up clips."""

    def __init__(self, match_iou: float):
        self.match_iou = match_iou
        self.followed: list[Followed] = []
        self.bad: list[BadCase] = []
        self.n_clips = self.n_frames = self.false_masklets = 0
        self.crossings = self.crossings_kept = self.returns = self.returns_kept = 0

    def add(self, clip: ClipTruth, row: MaskRow | None, masks: MaskSequence | None) -> None:
        """One clip; no row, or one without masks, followed nothing."""
        asked, ignored = clip.asked_at(0)
        tracks = {thing.object_id: track_of(clip, thing.object_id) for thing in clip.objects}
        found = masks.pixels()[: clip.n_inside] if masks else np.zeros((clip.n_inside, 0, 1, 1), bool)
        pairs = first_frame_pairs(found, tracks, asked, self.match_iou)
        self.n_clips += 1
        self.n_frames += clip.n_inside
        for obj in asked:
            index = pairs.get(obj, -1)
            kept = index >= 0 and row is not None and row.objects[index].kept
            self._follow(clip, obj, index, kept, tracks[obj], found)
        for obj, index in pairs.items():
            self._identity(obj, found[:, index], tracks, clip)
        self._count_false(found, set(pairs.values()), tracks, [*asked, *ignored])

    def _follow(self, clip: ClipTruth, obj: int, index: int, kept: bool, track: Track, found: np.ndarray) -> None:
        thing = clip.objects[obj]
        js, fs = np.zeros(clip.n_inside), np.zeros(clip.n_inside)
        for k in range(clip.n_inside if index >= 0 else 0):
            js[k] = region_j(found[k, index], track.visible[k])
            fs[k] = boundary_f(found[k, index], track.visible[k])
        one = Followed(thing.label, thing.unseen, size_of(track), occlusion_of(track), index >= 0, kept,
                       float(js.mean()), float(fs.mean()), float(js[0]))  # fmt: skip
        self.followed.append(one)
        if index >= 0:
            self.bad.append(BadCase(kind="masks", video=clip.truth.name, clip=clip.clip.key, label=thing.label,
                                    value=one.j_and_f, object_id=obj, mask_index=index,
                                    note=f"J {one.j:.3f}, F {one.f:.3f}, {one.occlusion}, {thing.role}"))  # fmt: skip

    def _identity(self, obj: int, masks: np.ndarray, tracks: dict[int, Track], clip: ClipTruth) -> None:
        for other in tracks:
            part = parted_after(clip, obj, other, tracks)
            if other != obj and part is not None:
                after = range(part, min(part + AFTER, clip.n_inside))
                own = np.mean([region_j(masks[k], tracks[obj].visible[k]) for k in after])
                foreign = np.mean([region_j(masks[k], tracks[other].visible[k]) for k in after])
                self.crossings += 1
                self.crossings_kept += bool(own >= OWN_IOU and own > foreign)
        back = back_at(tracks[obj])
        if back is not None:
            after = range(back, min(back + AFTER, clip.n_inside))
            own = np.mean([region_j(masks[k], tracks[obj].visible[k]) for k in after])
            self.returns += 1
            self.returns_kept += bool(own >= OWN_IOU)

    def _count_false(self, found: np.ndarray, used: set[int], tracks: dict[int, Track], real: Sequence[int]) -> None:
        for index in set(range(found.shape[1])) - used:
            mask = found[0, index]
            covered = [int((mask & tracks[obj].visible[0]).sum()) for obj in real]
            if mask.any() and max(covered, default=0) < 0.5 * mask.sum():
                self.false_masklets += 1

    def figures(self) -> MaskFigures:
        """The means so far."""
        matched = [one for one in self.followed if one.matched]
        return MaskFigures(
            match_iou=self.match_iou,
            n_clips=self.n_clips,
            n_frames=self.n_frames,
            matched=group(matched),
            all=group(self.followed),
            kept=group([one for one in matched if one.kept]),
            by_size={name: group([one for one in matched if one.size == name]) for name in SIZES},
            by_occlusion={name: group([one for one in matched if one.occlusion == name])
                          for name in ("clear", "partial", "vanishes")},
            by_class_kind={name: group([one for one in matched if one.unseen == (name == "unseen")])
                           for name in ("seen", "unseen")},
            by_class={name: group([one for one in matched if one.label == name])
                      for name in sorted({one.label for one in matched})},
            first_frame_j=float(np.mean([one.first_j for one in matched])) if matched else 0.0,
            crossings=self.crossings,
            crossings_kept=self.crossings_kept,
            returns=self.returns,
            returns_kept=self.returns_kept,
            false_masklets=self.false_masklets,
        )  # fmt: skip


def group(objects: Sequence[Followed]) -> MaskGroup:
    """Means over objects; zeros for none."""
    if not objects:
        return MaskGroup(n_objects=0, j=0.0, f=0.0, j_and_f=0.0)
    j, f = float(np.mean([one.j for one in objects])), float(np.mean([one.f for one in objects]))
    return MaskGroup(n_objects=len(objects), j=j, f=f, j_and_f=(j + f) / 2)


def track_of(clip: ClipTruth, obj: int) -> Track:
    """The truth of one object over the clip's frames inside its shot."""
    visible = np.stack([clip.visible(k, obj) for k in range(clip.n_inside)])
    amodal = np.array([int(clip.amodal(k, obj).sum()) for k in range(clip.n_inside)])
    return Track(visible, amodal, visible.sum(axis=(1, 2)))


def first_frame_pairs(
    found: np.ndarray, tracks: dict[int, Track], asked: Sequence[int], match_iou: float
) -> dict[int, int]:
    """True object -> masklet with the best total IoU on frame 0, one to one, each of at least `match_iou`."""
    from scipy.optimize import linear_sum_assignment

    if not asked or not found.shape[1]:
        return {}
    overlap = np.array(
        [[region_j(found[0, index], tracks[obj].visible[0]) for index in range(found.shape[1])] for obj in asked]
    )
    rows, columns = linear_sum_assignment(-overlap)
    return {asked[r]: int(c) for r, c in zip(rows, columns, strict=True) if overlap[r, c] >= match_iou}


def size_of(track: Track) -> str:
    """By the mean visible share of the frame, over frames in which anything shows."""
    shown = track.seen_area[track.seen_area > 0]
    share = float(shown.mean()) / track.visible[0].size if len(shown) else 0.0
    return "small" if share < SMALL else "large" if share > LARGE else "medium"


def occlusion_of(track: Track) -> str:
    """ "clear", "partial" or "vanishes"."""
    if (track.seen_area == 0).any():
        return "vanishes"
    return "clear" if (track.seen_area >= CLEAR * track.amodal_area).all() else "partial"


def parted_after(clip: ClipTruth, obj: int, other: int, tracks: dict[int, Track]) -> int | None:
    """First clip frame after `obj` and `other` overlapped at which both are whole again; None when that never happens.

    Overlap: their whole silhouettes share at least OVERLAP of the smaller one, one hiding part of the other.
    """
    if obj == other:
        return None
    met = False
    for k in range(clip.n_inside):
        a, b = tracks[obj], tracks[other]
        least = min(a.amodal_area[k], b.amodal_area[k])
        hidden = max(a.amodal_area[k] - a.seen_area[k], b.amodal_area[k] - b.seen_area[k])
        shared = 0
        if least and hidden:
            shared = int((clip.amodal(k, obj) & clip.amodal(k, other)).sum())
        if least and shared >= OVERLAP * least:
            met = k > 0 or met
        elif met and least and not shared:
            return k
    return None


def back_at(track: Track) -> int | None:
    """First frame at which the object is well in sight again after an absence; None when there is none."""
    gone = np.flatnonzero(track.seen_area == 0)
    if not len(gone):
        return None
    start = track.seen_area[0]
    later = np.flatnonzero(track.seen_area[gone[0] :] >= 0.5 * start)
    return int(gone[0] + later[0]) if len(later) else None
