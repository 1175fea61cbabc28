"""Where the objects are in a video: tracked by a segmenter, or read from `seen_masks` in the manifest.

The segmenter tracks from the boxes of the first frame, which `shift`, `scale`, `delay` and `freeze` leave unchanged, so
it does not know what an edit requests. Dropped objects are searched for in their old box. Colors decide which object is
which after a swap (identity is not counted if both have the same colors) and whether a dropped object is gone.

Shape letters: T frames, N objects, B bins of a color histogram.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.control.fit import LEAST_REQUEST, Run, empty_objects, find_edited
from mvideo_core.evaluation.mask_grid import GridFit, check_match, match_frames, on_grid
from mvideo_core.evaluation.mask_overlap import prompt_boxes
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.masks import MaskSequence, MaskWriter
from mvideo_core.perception.segmentation import Segmenter

BINS = 4
"""Bins of a histogram, per color channel."""
FRAMES = 8
"""Frames that a histogram covers, spread evenly."""
ALIKE = 0.5
"""Minimum overlap of two histograms that may belong to the same object."""
SAME_LOOK = 0.8
"""Objects whose histograms overlap this much cannot be distinguished by color."""
MOST_EXCHANGED = 5


class Judged(NamedTuple):
    """Runs of an item, as `score_control` takes them.

    Attributes:
        dropped: share of dropped objects that is gone, where color decides it.
        unknown: edits whose identity cannot be determined.
        fps: of the frames compared.
    """

    base: Run
    edits: list[Run]
    dropped: list[float | None]
    unknown: frozenset[str]
    source: Run | None
    fps: float


class _Shown(NamedTuple):
    """Frames and the masks requested in them."""

    frames_THWC: np.ndarray
    wanted: MaskSequence
    fps: float


def judge_silhouettes(video: EvalVideo, fit: GridFit) -> Judged:
    """Runs of an item whose manifest says where the objects are (`seen_masks`).

    Raises:
        MediaError: masks are absent or do not fit.
    """
    base, *edits = [
        _silhouettes(one, fit) for one in (video, *(video.under(given) for given in video.item.interventions))
    ]
    base, *edits = [Run(name, run.wanted, run.seen) for name, run in zip(_names(video), (base, *edits), strict=True)]
    fps = video.masks_fps or video.fps
    return Judged(base, edits, [None] * len(edits), frozenset(), None, fps)


def judge_tracks(video: EvalVideo, segmenter: Segmenter, fit: GridFit) -> Judged:
    """Runs of an item, with the objects tracked by a segmenter; the source video, if there is one, is the ceiling.

    Raises:
        MediaError: a video or masks cannot be read or do not fit, or frame 0 has no object.
    """
    shown = _sample_frames(video, fit)
    there = prompt_boxes(shown.wanted, 0)[0] if shown.wanted.n_frames else []
    if not there:
        raise MediaError(f"{video.item.id}: no object has a mask on frame 0, so there is nothing to track")
    boxes_N4 = prompt_boxes(shown.wanted.select(there), 0)[1]
    base = Run("", shown.wanted.select(there), _track(segmenter, shown.frames_THWC, boxes_N4))
    looks_NB = _looks(shown.frames_THWC, base.seen)
    fps = shown.fps
    edits, dropped, unknown = [], [], []
    for given in video.item.interventions:
        child = video.under(given)
        shown = _sample_frames(child, fit)
        if shown.wanted.shape[:2] != (base.wanted.n_frames, video.masks().n_objects):
            raise MediaError(
                f"{child.item.id}: {shown.wanted.n_frames} frames of {shown.wanted.n_objects} objects, and without the "
                f"edit {base.wanted.n_frames} of {video.masks().n_objects}; they must be the same"
            )
        wanted = shown.wanted.select(there)
        seen = _track(segmenter, shown.frames_THWC, _boxes_under(wanted, boxes_N4))
        run = Run(given.edit, wanted, seen)
        found_NB = _looks(shown.frames_THWC, seen)
        order = _assign(looks_NB, found_NB, _find_exchanged(base, run))
        if order is None:
            unknown.append(given.edit)
        else:
            run = Run(given.edit, wanted, seen.select(order))
        edits.append(run)
        dropped.append(_share_gone(looks_NB, found_NB, empty_objects(base, run)))
        child.close()
    source = _source_run(video, segmenter, fit, there) if video.item.source_video else None
    return Judged(base, edits, dropped, frozenset(unknown), source, fps)


def _names(video: EvalVideo) -> list[str]:
    return ["", *(one.edit for one in video.item.interventions)]


def _silhouettes(video: EvalVideo, fit: GridFit) -> Run:
    wanted, seen = video.masks(), video.seen_masks()
    if seen.shape[:2] != wanted.shape[:2]:
        raise MediaError(
            f"{video.item.id}: seen_masks of {seen.n_frames} frames with {seen.n_objects} objects, masks of "
            f"{wanted.n_frames} with {wanted.n_objects}; they must be the same"
        )
    frames = np.arange(wanted.n_frames)
    return Run("", on_grid(wanted, frames, seen.height, seen.width, video.item.fit or fit), seen)


def _sample_frames(video: EvalVideo, fit: GridFit, source: bool = False) -> _Shown:
    """The frames that have a mask of their own, and these masks at the video's size."""
    frames = video.source_frames() if source else video.frames_THWC
    fps = video.source_fps if source else video.fps
    masks = video.masks()
    match = match_frames(masks.n_frames, video.masks_fps, len(frames), fps)
    checked = match._replace(n_unmatched=0) if source else match  # a source may continue after its masks
    try:
        check_match(checked, masks.n_frames, video.masks_fps, fps, align=None)
    except MediaError as error:
        raise MediaError(f"{video.item.id}: {error}") from None
    scored = np.flatnonzero(match.scored)
    height, width = frames.shape[1:3]
    wanted = on_grid(masks, match.masks[scored], height, width, video.item.fit or fit)
    return _Shown(frames[scored], wanted, fps * len(scored) / max(len(match.scored), 1))


def _boxes_under(wanted: MaskSequence, boxes_N4: np.ndarray) -> np.ndarray:
    """Boxes of frame 0 under an edit; for objects without a box there, the box without the edit."""
    there, found = prompt_boxes(wanted, 0)
    boxes_N4 = boxes_N4.copy()
    boxes_N4[there] = found
    return boxes_N4


def _track(segmenter: Segmenter, frames_THWC: np.ndarray, boxes_N4: np.ndarray) -> MaskSequence:
    height, width = frames_THWC.shape[1:3]
    writer = MaskWriter(len(boxes_N4), height, width)
    for found in segmenter.propagate(iter(frames_THWC), height, width, boxes_N4):
        writer.append(found.masks_NHW)
    return writer.finish()


def _source_run(video: EvalVideo, segmenter: Segmenter, fit: GridFit, there: list[int]) -> Run:
    shown = _sample_frames(video, fit, source=True)
    wanted = shown.wanted.select(there)
    return Run("source", wanted, _track(segmenter, shown.frames_THWC, prompt_boxes(wanted, 0)[1]))


def _looks(frames_THWC: np.ndarray, seen: MaskSequence) -> np.ndarray:
    """Color histogram of each object, (N, B), sum 1; zeros where it is not found."""
    looks_NB = np.zeros((seen.n_objects, BINS**3))
    for t in np.unique(np.linspace(0, seen.n_frames - 1, FRAMES).round().astype(int)).tolist():
        bins_HW3 = frames_THWC[t].astype(np.int64) * BINS // 256
        index_HW = (bins_HW3[..., 0] * BINS + bins_HW3[..., 1]) * BINS + bins_HW3[..., 2]
        for n in range(seen.n_objects):
            looks_NB[n] += np.bincount(index_HW[seen.mask(t, n)], minlength=BINS**3)
    total_N1 = looks_NB.sum(axis=1, keepdims=True)
    return looks_NB / np.maximum(total_N1, 1)


def _compare_histograms(one_B: np.ndarray, other_B: np.ndarray) -> float:
    """Overlap of two histograms, 0 to 1."""
    return float(np.minimum(one_B, other_B).sum())


def _find_exchanged(base: Run, run: Run) -> list[int]:
    """Objects that an edit moves to another place from frame 0 on, if there are two or more."""
    unit = base.wanted_tracks.size_px
    before, after = base.wanted_tracks.states(unit)[0], run.wanted_tracks.states(unit)[0]
    gone = empty_objects(base, run)
    moved = [
        n for n in find_edited(base, run)
        if n not in gone and np.abs(after[n] - before[n]).max() >= LEAST_REQUEST
    ]  # fmt: skip
    return moved if 1 < len(moved) <= MOST_EXCHANGED else []


def _assign(looks_NB: np.ndarray, found_NB: np.ndarray, exchanged: Sequence[int]) -> list[int] | None:
    """For each object the track that looks most like it; None where objects look the same."""
    order = list(range(len(looks_NB)))
    if not exchanged:
        return order
    if any(_compare_histograms(looks_NB[a], looks_NB[b]) > SAME_LOOK for a, b in itertools.combinations(exchanged, 2)):
        return None

    def fitness(tracks: Sequence[int]) -> float:
        return sum(
            _compare_histograms(looks_NB[n], found_NB[track]) for n, track in zip(exchanged, tracks, strict=True)
        )

    best = max(itertools.permutations(exchanged), key=fitness)
    for n, track in zip(exchanged, best, strict=True):
        order[n] = track
    return order


def _share_gone(looks_NB: np.ndarray, found_NB: np.ndarray, empty: Sequence[int]) -> float | None:
    """Share of dropped objects that something of other colors has replaced; None = none of them, areas decide."""
    if not empty:
        return None
    gone = [float(_compare_histograms(looks_NB[n], found_NB[n]) < ALIKE) for n in empty]
    return float(np.mean(gone)) if any(gone) else None
