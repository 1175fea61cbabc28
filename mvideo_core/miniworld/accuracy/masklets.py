"""Score mask sequences against ground truth: J, F, groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mvideo_core.base.records import MaskRow
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.boundary import boundary_f, region_j
from mvideo_core.miniworld.accuracy.figures import BadCase, MaskFigures, MaskGroup
from mvideo_core.miniworld.accuracy.identity import IdentityCounter
from mvideo_core.miniworld.accuracy.mapping import ClipTruth, Track, track_of

SIZES = ("small", "medium", "large")
SMALL, LARGE = 0.015, 0.05
CLEAR = 0.95


@dataclass(frozen=True)
class Followed:
    """One true object and its tracking result over a clip."""

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


class MaskCounter:
    """Accumulates clips."""

    def __init__(self, match_iou: float):
        self.match_iou = match_iou
        self.followed: list[Followed] = []
        self.bad: list[BadCase] = []
        self.n_clips = self.n_frames = self.false_masklets = 0
        self.identity = IdentityCounter()

    def add(self, clip: ClipTruth, row: MaskRow | None, masks: MaskSequence | None) -> None:
        """Add one clip; a missing row or one without masks counts as nothing tracked."""
        asked, ignored = clip.objects_at(0)
        tracks = {thing.object_id: track_of(clip, thing.object_id) for thing in clip.objects}
        found = masks.pixels()[: clip.n_inside] if masks else np.zeros((clip.n_inside, 0, 1, 1), bool)
        pairs = first_frame_pairs(found, tracks, asked, self.match_iou)
        self.n_clips += 1
        self.n_frames += clip.n_inside
        for obj in asked:
            index = pairs.get(obj, -1)
            kept = index >= 0 and row is not None and row.objects[index].kept
            self._follow(clip, obj, index, kept, tracks[obj], found)
        self.identity.add(clip, tracks, pairs, found)
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

    def _count_false(self, found: np.ndarray, used: set[int], tracks: dict[int, Track], real: Sequence[int]) -> None:
        for index in set(range(found.shape[1])) - used:
            mask = found[0, index]
            covered = [int((mask & tracks[obj].visible[0]).sum()) for obj in real]
            if mask.any() and max(covered, default=0) < 0.5 * mask.sum():
                self.false_masklets += 1

    def figures(self) -> MaskFigures:
        """Means so far."""
        matched = [one for one in self.followed if one.matched]
        crossings, returns = self.identity.crossings, self.identity.returns
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
            crossings=len(crossings),
            crossings_kept=sum(case.kept for case in crossings),
            returns=len(returns),
            returns_kept=sum(case.kept for case in returns),
            false_masklets=self.false_masklets,
        )  # fmt: skip


def group(objects: Sequence[Followed]) -> MaskGroup:
    """Means over objects; zeros if there are none."""
    if not objects:
        return MaskGroup(n_objects=0, j=0.0, f=0.0, j_and_f=0.0)
    j, f = float(np.mean([one.j for one in objects])), float(np.mean([one.f for one in objects]))
    return MaskGroup(n_objects=len(objects), j=j, f=f, j_and_f=(j + f) / 2)


def first_frame_pairs(
    found: np.ndarray, tracks: dict[int, Track], asked: Sequence[int], match_iou: float
) -> dict[int, int]:
    """True object -> masklet, one to one, maximizing total IoU on frame 0, each at least `match_iou`."""
    from scipy.optimize import linear_sum_assignment

    if not asked or not found.shape[1]:
        return {}
    overlap = np.array(
        [[region_j(found[0, index], tracks[obj].visible[0]) for index in range(found.shape[1])] for obj in asked]
    )
    rows, columns = linear_sum_assignment(-overlap)
    return {asked[r]: int(c) for r, c in zip(rows, columns, strict=True) if overlap[r, c] >= match_iou}


def size_of(track: Track) -> str:
    """Size group by mean visible fraction of the frame, over frames where the object is visible."""
    shown = track.seen_area[track.seen_area > 0]
    share = float(shown.mean()) / track.visible[0].size if len(shown) else 0.0
    return "small" if share < SMALL else "large" if share > LARGE else "medium"


def occlusion_of(track: Track) -> str:
    """ "clear", "partial" or "vanishes"."""
    if (track.seen_area == 0).any():
        return "vanishes"
    return "clear" if (track.seen_area >= CLEAR * track.amodal_area).all() else "partial"
