"""A reviewer's decisions about the objects of one clip: other names, other masks from a box or a click, verdicts.

A box or click on frame k gives the object new masks on all frames, tracked from k both ways. After several corrections
of one object, each frame has the masks of the nearest corrected frame.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import ObjectStats
from mvideo_core.masks import MaskSequence
from mvideo_core.perception.segmentation.sam2_image import Sam2ImageMode
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter
from mvideo_core.perception.segmentation.two_way import NO_BOXES, Masklet, Spool, to_sequence, track
from mvideo_core.store.decisions import LocatedDecision, check_place


@dataclass(frozen=True)
class Objects:
    """The objects of a clip: T frames, N objects.

    Attributes:
        scores_TN: segmenter scores.
        labels, box_scores: N each.
        first_seen: by number, the frame of the first prompt of objects that a reviewer added or corrected.
    """

    sequence: MaskSequence
    scores_TN: np.ndarray
    labels: list[str]
    box_scores: list[float]
    first_seen: dict[int, int]


def correct(
    found: Objects, decided: Sequence[LocatedDecision], segmenter: Any, frames: Callable[[], Iterable[np.ndarray]],
    spool: Callable[[], Spool], name: str = "",
) -> Objects:  # fmt: skip
    """The objects after relabeling and new prompts.

    Args:
        decided: about the objects in `found`; boxes and clicks for numbers beyond them add objects.
        frames: opens the clip; called only if there is a prompt.
        spool: opens an empty spool, likewise.
        name: of the clip, for the log.

    Raises:
        ConfigError: a decision that does not fit the clip; the message names its line.
    """
    labels, scores = list(found.labels), list(found.box_scores)
    prompts = sorted((one for one in decided if one.decision.prompts), key=_frame_and_object)
    for placed in prompts:
        check_place(placed, found.sequence.n_frames, found.sequence.width, found.sequence.height)
    for number in sorted({_object(one) for one in prompts} - set(range(len(labels)))):
        first = next(one for one in decided if one.decision.prompts and _object(one) == number)
        _check_new(first, number, len(labels))
        labels.append(first.decision.label)
        scores.append(1.0)
    for placed in decided:
        chosen, label = placed.decision.object, placed.decision.label
        if chosen is not None and chosen >= len(labels):
            raise ConfigError(f"{placed.where}: no object {chosen}; the clip has {len(labels)}, numbered from 0")
        if chosen is not None and label:
            labels[chosen] = label
    if not prompts:
        return Objects(found.sequence, found.scores_TN, labels, scores, found.first_seen)
    return _propagate(found, prompts, labels, scores, segmenter, frames(), spool, name)


def judge(objects: Sequence[ObjectStats], decided: Sequence[LocatedDecision]) -> list[ObjectStats]:
    """The objects with the reviewer's verdicts over the gate's.

    An accepted clip from which the gate kept nothing keeps every object that has a mask.
    """
    verdicts = {one.decision.object: one.decision.action for one in decided if one.decision.slot[2] == "verdict"}
    whole = verdicts.get(None) == "accept" and not any(one.kept for one in objects)
    judged = []
    for one in objects:
        verdict = verdicts.get(one.object_id, "accept" if whole and one.visible_frac > 0 else "")
        if verdict == "accept":
            one = one.model_copy(update={"kept": True} | dict.fromkeys(DROP))
        elif verdict == "reject":
            one = one.model_copy(update={"kept": False} | dict(zip(DROP, ("rejected", 1.0, 0.0), strict=True)))
        judged.append(one)
    return judged


DROP = ("drop_reason", "drop_value", "drop_threshold")


def _propagate(
    found: Objects, prompts: Sequence[LocatedDecision], labels: list[str], box_scores: list[float], segmenter: Any,
    frames: Iterable[np.ndarray], open_spool: Callable[[], Spool], name: str,
) -> Objects:  # fmt: skip
    """Track every prompt both ways, and splice the masks in."""
    old = found.sequence
    last = max(_frame(one) for one in prompts)

    def start(number: int, frame: np.ndarray, *_: object) -> np.ndarray:
        boxes = [_box(one, segmenter, frame) for one in prompts if _frame(one) == number]
        return np.array(boxes, np.float32) if boxes else NO_BOXES

    with open_spool() as spool:

        def spool_frames() -> Iterator[np.ndarray]:
            for number, frame in enumerate(frames):
                if number <= last:
                    spool.append(frame)
                yield frame

        masklets, n_frames = track(
            segmenter, spool_frames(), spool, old.height, old.width, start, f"{name}, corrected", old.n_frames
        )
    kept = [_masklet(found, n) for n in range(old.n_objects)]
    by_object: dict[int, list[Masklet]] = {}
    for placed, masklet in zip(prompts, masklets, strict=True):
        by_object.setdefault(_object(placed), []).append(masklet)
    spliced = [_merge_nearest(by_object[n], n_frames) if n in by_object else kept[n] for n in range(len(labels))]
    scores_TN = np.array([[one.scores.get(t, 0.0) for one in spliced] for t in range(n_frames)], np.float32)
    first_seen = found.first_seen | {n: min(one.start for one in given) for n, given in by_object.items()}
    return Objects(to_sequence(spliced, n_frames, old.height, old.width), scores_TN, labels, box_scores, first_seen)


def _masklet(found: Objects, n: int) -> Masklet:
    """One object as it was."""
    times = range(found.sequence.n_frames)
    edges = {t: found.sequence.mask_edges(t, n) for t in times}
    return Masklet(0, edges, {t: float(found.scores_TN[t, n]) for t in times})


def _merge_nearest(given: Sequence[Masklet], n_frames: int) -> Masklet:
    """One masklet from those of several prompts, each frame from the nearest prompt; of two as near, the earlier."""
    joined = Masklet(given[0].start)
    for t in range(n_frames):
        one = min(given, key=lambda masklet: (abs(masklet.start - t), masklet.start))
        joined.scores[t] = one.scores.get(t, 0.0)
        if t in one.edges:
            joined.edges[t] = one.edges[t]
    return joined


def _box(placed: LocatedDecision, segmenter: Any, frame: np.ndarray) -> np.ndarray:
    """The box of a decision, inside the frame; a click becomes the box of the object under it."""
    decision = placed.decision
    height, width = frame.shape[:2]
    if decision.box_xyxy is not None:
        return np.clip(np.array(decision.box_xyxy, np.float32), 0, [width, height, width, height])
    assert decision.point_xy is not None
    if not isinstance(segmenter, Sam2Segmenter):
        raise ConfigError(f"{placed.where}: a click works only with the segmenter 'sam2'; draw a box instead")
    box = Sam2ImageMode(segmenter).box_at(frame, decision.point_xy)
    if box is None:
        raise ConfigError(f"{placed.where}: nothing found at {list(decision.point_xy)}; draw a box instead")
    return box


def _check_new(placed: LocatedDecision, number: int, free: int) -> None:
    if number != free:
        raise ConfigError(f"{placed.where}: no object {number}; a new one gets the number {free}")
    if not placed.decision.label:
        raise ConfigError(f"{placed.where}: object {number} is new and needs a label")


def _frame(placed: LocatedDecision) -> int:
    return placed.decision.frame or 0


def _object(placed: LocatedDecision) -> int:
    return placed.decision.object or 0


def _frame_and_object(placed: LocatedDecision) -> tuple[int, int]:
    return _frame(placed), _object(placed)
