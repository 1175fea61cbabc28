"""With `detect.when=keyframes` or `adaptive`, the detector searches several frames of a clip for objects.

1. A box that no mask covers starts a new object, which is tracked forward and backward. A clip has at most 64 objects;
   further ones are not tracked.
2. After tracking, masks whose colors differ from those of their object are removed.
3. Two objects with the same colors become one if their masks overlap, or if one vanished before the other appeared. An
   object that comes back therefore keeps its id.
4. An object is dropped if the detector finds it on less than 40% of the searched frames on which it has a mask, unless
   its masks have a mean score of at least 0.6 and no other object is in the same place.

For each object, the clip's row of the stage segment (`MaskRow`) and the field `tracks` of a sample's `.json` list the
frame where it was first seen, and the spans in which it is hidden or out of the picture (`"16-29"` means frames 16 to
28). `shot_object` is the object's id across all clips of a shot. While the stage runs, temporary files in the workspace
take 1 MB per frame at 720x480.

Shape letters: D boxes of a frame, P masklets, T frames.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.masks import MaskSequence
from mvideo_core.masks.measure import area, box_xyxy, intersection, iou
from mvideo_core.perception.detection.base import Detections
from mvideo_core.perception.detection.select import iou_matrix
from mvideo_core.perception.segmentation.base import FrameMasks
from mvideo_core.perception.segmentation.two_way import NO_BOXES, Masklet, Spool, to_sequence, track

log = logging.getLogger(__name__)

MAX_MASKLETS = 64
"""Per clip, before joining: a detector that invents objects must not exhaust the machine."""
SAME_BOX_IOU = 0.4
"""A box with this IoU or more with a mask's box is a sighting of that masklet."""
COVERED = 0.6
"""A box whose area is covered by one mask to this share is a part of its object."""
SAME_MASK_IOU = 0.6
"""Mean IoU of masks, over the frames that show both, from which they are one object."""
SAME_COLORS = 0.6
"""Overlap of color histograms from which an object that returns is the one that left."""
OTHER_COLORS = 0.4
"""Overlap of color histograms below which a mask is on something else."""
COLOR_FRAMES = 8
"""Frames from its start on that give an object's colors."""
MIN_CONFIRMED = 0.4
"""Share of the searched frames with its mask on which the detector sees a masklet that is beyond doubt."""
MIN_RARE_SCORE = 0.6
"""Mean score of its masks from which any other masklet stays where no other object is; chosen on `val`."""
SHARED = 0.5
"""Share of the smaller of two masks, and of the frames, from which two masklets are on one object."""
BORDER_FRAC = 0.02
COLOR_BINS = 4


class Absence(NamedTuple):
    """Frames [start, end) in which an object is out of sight; `gone` if it left the picture, else it is hidden."""

    start: int
    end: int
    gone: bool


class Sight(NamedTuple):
    """One detection of an object."""

    frame: int
    label: str
    score: float


@dataclass(eq=False)
class Found:
    """One object of a clip.

    Attributes:
        masklet: its masks.
        sights: where the detector saw it, in any order.
        agreement: IoU of the masks that met where masklets tracked from different frames were joined, by frame.
    """

    masklet: Masklet
    sights: list[Sight]
    agreement: dict[int, float] = field(default_factory=dict)

    @property
    def seen_on(self) -> set[int]:
        """Searched frames on which the detector saw it."""
        return {one.frame for one in self.sights}

    @property
    def label(self) -> str:
        """The label with the highest total score; of equal ones the first in the alphabet."""
        totals: dict[str, float] = {}
        for one in self.sights:
            totals[one.label] = totals.get(one.label, 0.0) + one.score
        return min(totals, key=lambda name: (-totals[name], name), default="")

    @property
    def colors(self) -> np.ndarray | None:
        """Mean histogram of its first frames from its start on; None before it has any."""
        notes, start = self.masklet.notes, self.masklet.start
        shown = list(islice((notes[t] for t in range(start, start + 4 * COLOR_FRAMES) if t in notes), COLOR_FRAMES))
        return np.asarray(np.mean(shown, axis=0, dtype=np.float64)) if shown else None

    @property
    def score(self) -> float:
        """The best score of a detection."""
        return max((one.score for one in self.sights), default=0.0)


class Discovery(NamedTuple):
    """All objects of a clip, in the order of their first sight.

    Attributes:
        sequence: T frames, N objects.
        scores_TN: segmenter scores; 0 where a masklet does not reach.
        objects: N.
    """

    sequence: MaskSequence
    scores_TN: np.ndarray
    objects: list[Found]

    def known(self) -> dict[str, dict[int, Any]]:
        """What discovery knows of each object, for `trust_features.measure_clip`."""
        return {
            "starts": {n: one.masklet.start for n, one in enumerate(self.objects)},
            "seen_on": {n: one.seen_on for n, one in enumerate(self.objects)},
            "agreement": {n: one.agreement for n, one in enumerate(self.objects)},
        }


def discover(
    segmenter: Any, frames: Iterable[np.ndarray], spool: Spool, height: int, width: int,
    sightings: Mapping[int, Detections], name: str = "", n_frames: int = 0,
) -> Discovery:  # fmt: skip
    """Objects of a whole clip.

    Args:
        frames: all frames, read once.
        spool: empty; holds the frames up to the last box.
        sightings: searched frame -> selected boxes there, possibly none.
        name, n_frames: of the clip, for the log.
    """
    search = _Search(sightings)
    last = max((number for number, seen in sightings.items() if len(seen)), default=0)
    masklets, total = track(
        segmenter, _spool_frames(frames, spool, last), spool, height, width, search.prompt, name, n_frames,
        color_histogram,
    )  # fmt: skip
    for one, masklet in zip(search.found, masklets, strict=True):
        one.masklet = masklet
        drop_other_colors(one)
    objects = confirm(join(search.found, total), sightings)
    scores = np.array([[one.masklet.scores.get(frame, 0.0) for one in objects] for frame in range(total)], np.float32)
    sequence = to_sequence([one.masklet for one in objects], total, height, width)
    return Discovery(sequence, scores.reshape(total, len(objects)), objects)


def absences(sequence: MaskSequence, obj: int) -> list[Absence]:
    """Stretches without a mask. An object whose last mask before (or first one after) touches the border is gone."""
    visible = np.diff(sequence.offsets).reshape(sequence.n_frames, sequence.n_objects)[:, obj] > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[True], visible, [True]]).astype(np.int8)))
    found = []
    for start, end in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True):
        beside = start - 1 if start else end
        gone = beside < sequence.n_frames and _at_border(sequence, beside, obj)
        found.append(Absence(start, end, gone))
    return found


def _at_border(sequence: MaskSequence, frame: int, obj: int) -> bool:
    x0, y0, x1, y1 = box_xyxy(sequence.mask_edges(frame, obj), sequence.width)
    reach = BORDER_FRAC * min(sequence.width, sequence.height)
    return bool(x0 <= reach or y0 <= reach or x1 >= sequence.width - reach or y1 >= sequence.height - reach)


def _spool_frames(frames: Iterable[np.ndarray], spool: Spool, last: int) -> Iterator[np.ndarray]:
    for number, frame in enumerate(frames):
        if number <= last:
            spool.append(frame)
        yield frame


class _Search:
    """Compares the boxes of searched frames with the masks there; what no mask explains is new."""

    def __init__(self, sightings: Mapping[int, Detections]):
        self.sightings = sightings
        self.found: list[Found] = []

    def prompt(
        self, number: int, frame: np.ndarray, masklets: list[Masklet], groups: list[FrameMasks]
    ) -> np.ndarray:  # fmt: skip
        """Boxes of new objects on this frame; see `two_way.Prompt`."""
        seen = self.sightings.get(number)
        if seen is None or not len(seen):
            return NO_BOXES
        nothing = np.zeros((0, *frame.shape[:2]), bool)
        masks = np.concatenate([nothing, *(group.masks_NHW for group in groups)])
        own = []
        for p, (one, masklet) in enumerate(zip(self.found, masklets, strict=True)):
            one.masklet = masklet
            if masks[p].any() and not _differ(one.colors, color_histogram(frame, masks[p])):
                own.append(p)
        matched, new = compare(seen.boxes_xyxy, masks[own])
        for d, p in matched:
            self.found[own[p]].sights.append(_sight(number, seen, d))
        new = new[: max(0, MAX_MASKLETS - len(self.found))]
        self.found += [Found(Masklet(number), [_sight(number, seen, d)]) for d in new]
        return seen.boxes_xyxy[new]


def _sight(number: int, seen: Detections, d: int) -> Sight:
    return Sight(number, seen.labels[d], float(seen.scores[d]))


def compare(boxes: np.ndarray, masks: np.ndarray) -> tuple[list[tuple[int, int]], list[int]]:
    """(box, mask) pairs that are the same object, one to one, and the boxes that no mask explains.

    Args:
        boxes: (D, 4) xyxy, best first.
        masks: bool (P, H, W), none empty.
    """
    from scipy.optimize import linear_sum_assignment

    if not len(boxes):
        return [], []
    if not len(masks):
        return [], list(range(len(boxes)))
    held = np.array([_main_box(mask) for mask in masks])
    overlap = iou_matrix(boxes.astype(np.float64), held)
    rows, columns = linear_sum_assignment(-np.where(overlap >= SAME_BOX_IOU, overlap, 0.0))
    pairs = [(int(d), int(p)) for d, p in zip(rows, columns, strict=True) if overlap[d, p] >= SAME_BOX_IOU]
    known = {d for d, _ in pairs}
    new = [
        d
        for d in range(len(boxes))
        if d not in known and overlap[d].max() < SAME_BOX_IOU and _measure_cover(boxes[d], masks) < COVERED
    ]
    return pairs, new


def _measure_cover(box: np.ndarray, masks: np.ndarray) -> float:
    """Largest share of a box that one mask covers."""
    x0, y0, x1, y1 = (round(float(edge)) for edge in box)
    inside = masks[:, max(y0, 0) : max(y1, y0 + 1), max(x0, 0) : max(x1, x0 + 1)]
    return float(inside.mean(axis=(1, 2)).max()) if inside.size else 0.0


def _main_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Box of the largest connected part: a few stray pixels must not hide an object from its box."""
    import cv2

    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    x, y, w, h, _ = max(stats[1:].tolist(), key=lambda part: part[4])
    return float(x), float(y), float(x + w), float(y + h)


def color_histogram(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Share of the masked pixels in each of 4 x 4 x 4 cells of RGB, float16 (64)."""
    pixels = frame[mask] // (256 // COLOR_BINS)  # stays uint8: a mask may cover the whole frame
    cells = (pixels[:, 0] * COLOR_BINS + pixels[:, 1]) * COLOR_BINS + pixels[:, 2]
    return (np.bincount(cells, minlength=COLOR_BINS**3) / len(cells)).astype(np.float16)


def _differ(a: np.ndarray | None, b: np.ndarray | None, limit: float = OTHER_COLORS) -> bool:
    """Whether two histograms share less than `limit`; unknown ones do not differ."""
    return a is not None and b is not None and _compare_histograms(a, b) < limit


def _compare_histograms(a: np.ndarray | None, b: np.ndarray | None) -> float:
    """Overlap of two histograms, 0 to 1; 0 if one is unknown."""
    return 0.0 if a is None or b is None else float(np.minimum(a, b).sum())


def drop_other_colors(one: Found) -> None:
    """Remove the masks whose colors are not the object's: it slid onto something else there."""
    masklet, colors = one.masklet, one.colors
    for t in [t for t, note in masklet.notes.items() if _differ(colors, note)]:
        del masklet.edges[t], masklet.notes[t]


def join(found: Sequence[Found], n_frames: int) -> list[Found]:
    """The objects with all masklets of one object joined, earliest first."""
    kept: list[Found] = []
    for one in found:
        same = max(
            (other for other in kept if _is_same(other, one, n_frames)),
            key=lambda other: len(other.masklet.edges), default=None,
        )  # fmt: skip
        if same is not None:
            _absorb(same, one, n_frames)
            continue
        for other in kept:
            _give_back(other, one)
        kept.append(one)
    return kept


def _is_same(old: Found, new: Found, n_frames: int) -> bool:
    """Whether a later masklet continues an earlier one."""
    if old.seen_on & new.seen_on:
        return False  # seen side by side: two objects, wherever their masks went
    if _differ(old.colors, new.colors):
        return False
    start = new.masklet.start
    for span in (range(start), range(start, n_frames)):
        shared = [t for t in span if t in old.masklet.edges and t in new.masklet.edges]
        overlap = [iou(old.masklet.at(t), new.masklet.at(t)) for t in shared]
        if len(shared) >= 2 and float(np.mean(overlap)) >= SAME_MASK_IOU:
            return True
    together = sum(t in new.masklet.edges for t in old.masklet.edges)
    return together <= 1 and old.label == new.label and not _differ(old.colors, new.colors, SAME_COLORS)


def _absorb(old: Found, new: Found, n_frames: int) -> None:
    """Continue `old` with `new`: where both have a mask, the one in the object's colors; of two such, the better score.

    Equal ones: the masks of `new` from its start on, those of `old` before.
    """
    ours, theirs, colors = old.masklet, new.masklet, old.colors
    for t in range(n_frames):
        if t not in theirs.edges:
            continue
        if t in ours.edges:
            old.agreement[t] = min(old.agreement.get(t, 1.0), iou(ours.at(t), theirs.at(t)))
        worth = [
            (t in held.edges, _compare_histograms(colors, held.notes.get(t)) >= SAME_COLORS, held.scores.get(t, 0.0))
            for held in (ours, theirs)
        ]
        if worth[1] > worth[0] or (worth[1] == worth[0] and t >= theirs.start):
            ours.edges[t], ours.scores[t] = theirs.edges[t], theirs.scores.get(t, 0.0)
            if t in theirs.notes:
                ours.notes[t] = theirs.notes[t]
    old.sights += new.sights


def _give_back(old: Found, new: Found) -> None:
    """Remove masks of `new` from before its first sight that are on another object."""
    for t in [t for t in new.masklet.edges if t < new.masklet.start]:
        if t in old.masklet.edges and iou(old.masklet.at(t), new.masklet.at(t)) >= SAME_MASK_IOU:
            del new.masklet.edges[t]


def confirm(found: Sequence[Found], sightings: Mapping[int, Detections]) -> list[Found]:
    """The masklets that are objects, in the same order.

    Those that the detector sees often where their masks are; of the others, best masks first, those with good masks
    where no object is yet: a detector that misses an object on most frames has still found it.
    """
    shown = [one for one in found if one.masklet.edges]
    kept = [one for one in shown if _is_often_seen(one, sightings)]
    for one in sorted((one for one in shown if one not in kept), key=_mean_score, reverse=True):
        if _mean_score(one) >= MIN_RARE_SCORE and _shared_frac(one, kept) < SHARED:
            kept.append(one)
    return [one for one in shown if one in kept]


def _is_often_seen(one: Found, sightings: Mapping[int, Detections]) -> bool:
    shown = [t for t in sightings if t in one.masklet.edges]
    return len(one.seen_on) >= MIN_CONFIRMED * len(shown)


def _mean_score(one: Found) -> float:
    """Of its masks."""
    return float(np.mean([one.masklet.scores.get(t, 0.0) for t in one.masklet.edges]))


def _shared_frac(one: Found, others: Sequence[Found]) -> float:
    """Share of its frames on which another masklet is in the same place."""
    shared = [
        any(_in_one_place(edges, other.masklet.at(t)) for other in others) for t, edges in one.masklet.edges.items()
    ]
    return float(np.mean(shared))


def _in_one_place(a: np.ndarray, b: np.ndarray) -> bool:
    return intersection(a, b) >= SHARED * max(1, min(area(a), area(b)))
