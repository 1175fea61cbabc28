"""Score mask sequences against ground truth: J, F, groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mvideo_core.base.records import MaskRow
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.boundary import boundary_f
from mvideo_core.masks.measure import pixel_iou
from mvideo_core.miniworld.accuracy.figures import BadCase, MaskFigures, MaskGroup, TrackingFigures
from mvideo_core.miniworld.accuracy.identity import IdentityCounter
from mvideo_core.miniworld.accuracy.mapping import ClipTruth, Track, track_of
from mvideo_core.miniworld.accuracy.tracking import (
    TrackCounts,
    count,
    drop_ignored,
    identities,
    overlaps_of,
    total,
)

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


@dataclass(frozen=True)
class Sighting:
    """One object that is expected in some frame of a clip.

    Attributes:
        frames: number of frames in which the object is expected.
        followed: number of these in which its masklet is on it; its masklet is the one with the most such frames.
        j, f: scores of its masklet over the whole clip; 0 without one.
    """

    frames: int
    followed: int
    j: float
    f: float


class MaskCounter:
    """Accumulates clips."""

    def __init__(self, match_iou: float):
        self.match_iou = match_iou
        self.followed: list[Followed] = []
        self.sightings: list[Sighting] = []
        self.tracking: list[TrackCounts] = []
        self.bad: list[BadCase] = []
        self.n_clips = self.n_frames = self.false_masklets = 0
        self.identity = IdentityCounter()

    def add(self, clip: ClipTruth, row: MaskRow | None, masks: MaskSequence | None) -> None:
        """Add one clip; a missing row or one without masks counts as nothing tracked."""
        asked, ignored = clip.objects_at(0)
        tracks = {thing.object_id: track_of(clip, thing.object_id) for thing in clip.objects}
        found = masks.pixels()[: clip.n_inside] if masks else np.zeros((clip.n_inside, 0, 1, 1), bool)
        pairs = first_frame_pairs(found, tracks, asked, self.match_iou)
        scores = _Scores(found, tracks)
        self.n_clips += 1
        self.n_frames += clip.n_inside
        for obj in asked:
            index = pairs.get(obj, -1)
            kept = index >= 0 and row is not None and row.objects[index].kept
            self._follow(clip, obj, index, kept, tracks[obj], scores)
        self._sight(clip, tracks, found, scores)
        self.identity.add(clip, tracks, pairs, found)
        self._count_false(found, set(pairs.values()), tracks, [*asked, *ignored])

    def _follow(self, clip: ClipTruth, obj: int, index: int, kept: bool, track: Track, scores: "_Scores") -> None:
        thing = clip.objects[obj]
        js, fs = scores.of(obj, index)
        one = Followed(thing.label, thing.unseen, size_of(track), occlusion_of(track), index >= 0, kept,
                       float(js.mean()), float(fs.mean()), float(js[0]))  # fmt: skip
        self.followed.append(one)
        if index >= 0:
            self.bad.append(BadCase(kind="masks", video=clip.truth.name, clip=clip.clip.key, label=thing.label,
                                    value=one.j_and_f, object_id=obj, mask_index=index,
                                    note=f"J {one.j:.3f}, F {one.f:.3f}, {one.occlusion}, {thing.role}"))  # fmt: skip

    def _sight(self, clip: ClipTruth, tracks: dict[int, Track], found: np.ndarray, scores: "_Scores") -> None:
        """Compare all frames, whichever frame an object is first visible in."""
        true = np.stack([tracks[obj].visible for obj in range(len(tracks))], axis=1)
        areas = true.sum(axis=(2, 3))
        expected = np.array([[clip.counts(k, obj, n) for obj, n in enumerate(seen)] for k, seen in enumerate(areas)])
        ignored = (true & ~expected[:, :, None, None]).any(axis=1)
        overlaps = drop_ignored(*overlaps_of(true, found, ignored, expected))
        self.tracking.append(count(overlaps))
        owners = {obj: (index, frames) for obj, index, frames in identities(overlaps)}
        for obj in np.flatnonzero(expected.any(axis=0)).tolist():
            index, followed = owners.get(obj, (-1, 0))
            js, fs = scores.of(obj, index)
            self.sightings.append(Sighting(int(expected[:, obj].sum()), followed, float(js.mean()), float(fs.mean())))

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
            tracking=self._measure_tracking(),
        )  # fmt: skip

    def _measure_tracking(self) -> TrackingFigures:
        counts = total(self.tracking)
        return TrackingFigures(
            visible=group(self.sightings),
            found=sum(one.followed > 0 for one in self.sightings),
            mostly_followed=sum(2 * one.followed >= one.frames for one in self.sightings),
            hota=counts.hota,
            det_a=counts.det_a,
            ass_a=counts.ass_a,
            idf1=counts.idf1,
            switches=counts.switches,
        )


class _Scores:
    """J and F per frame of pairs of object and masklet in one clip, each pair compared once."""

    def __init__(self, found: np.ndarray, tracks: dict[int, Track]):
        self._found, self._tracks = found, tracks
        self._known: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def of(self, obj: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """J and F of each frame; zeros if the object has no masklet (-1)."""
        n_frames = len(self._found)
        if index < 0:
            return np.zeros(n_frames), np.zeros(n_frames)
        if (obj, index) not in self._known:
            pairs = [(self._found[k, index], self._tracks[obj].visible[k]) for k in range(n_frames)]
            js, fs = [pixel_iou(*pair) for pair in pairs], [boundary_f(*pair) for pair in pairs]
            self._known[obj, index] = np.array(js), np.array(fs)
        return self._known[obj, index]


def group(objects: Sequence[Followed] | Sequence[Sighting]) -> MaskGroup:
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
        [[pixel_iou(found[0, index], tracks[obj].visible[0]) for index in range(found.shape[1])] for obj in asked]
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
