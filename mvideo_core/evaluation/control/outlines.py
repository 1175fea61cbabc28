"""How well requested and observed masks agree: their outlines alone, without position and size, and their plain
overlap.

- **outline**: IoU of the requested and the observed masks after center and area are made equal, rescaled. 0 = the IoU
  of filled boxes, 1 = the IoU of the segmenter's own masks of the source video (without a `source_video`: an IoU of 1).
- **mIoU, normalized**: mean IoU of the edited objects, rescaled. 0 = the unedited video compared with the edited masks,
  1 = the source video compared with its own masks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mvideo_core.editing.warp import warp_edges
from mvideo_core.evaluation.control.fit import Run, empty_objects, find_edited
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.clip import edges_of
from mvideo_core.masks.measure import area, box_xyxy, iou

FRAMES = 8
"""Outlines are compared in this many frames of a run, spread evenly."""
BOXY = 0.95
"""A mask whose IoU with its filled box is this high has no outline to follow and is left out."""


class Overlap(NamedTuple):
    """Mean overlaps of the edited objects under the edits.

    Attributes:
        miou: observed masks vs. edited masks.
        chance: masks observed without the edit vs. edited masks: the value of a video that ignores the edits.
        normalized: (miou - chance) / (ceiling - chance); None where the ceiling is no higher than chance.
    """

    miou: float
    chance: float
    normalized: float | None


def outline_overlap(runs: Sequence[Run]) -> tuple[float, float] | None:
    """IoU of observed and requested outlines with the same center and area, and IoU of filled boxes; None without
    outlines.

    A frame in which the object is not found counts as 0.
    """
    found = [pair for run in runs for pair in _outlines(run)]
    if not found:
        return None
    seen, box = np.mean(found, axis=0)
    return float(seen), float(box)


def outline_share(runs: Sequence[Run], ceiling: Sequence[Run] = ()) -> float | None:
    """0 = as good as filled boxes, 1 = as good as the ceiling: the judge's outlines of the source video, otherwise
    1.
    """
    found = outline_overlap(runs)
    if found is None:
        return None
    best = outline_overlap(ceiling) if ceiling else None
    top = best[0] if best is not None else 1.0
    seen, box = found
    return float(np.clip((seen - box) / (top - box), 0, 1)) if top > box else None


def measure_edited_overlap(base: Run, edits: Sequence[Run], ceiling: float = 1.0) -> Overlap | None:
    """Plain overlap of the edited objects, and its position between chance and ceiling; None if edits only drop
    objects.
    """
    own, chance = [], []
    for run in edits:
        if empty_objects(base, run):
            continue
        for n in find_edited(base, run):
            for t in range(run.wanted.n_frames):
                if len(wanted := run.wanted.mask_edges(t, n)):
                    own.append(iou(run.seen.mask_edges(t, n), wanted))
                    chance.append(iou(base.seen.mask_edges(t, n), wanted))
    if not own:
        return None
    miou, low = float(np.mean(own)), float(np.mean(chance))
    return Overlap(miou, low, (miou - low) / (ceiling - low) if ceiling > low + 1e-6 else None)


def _outlines(run: Run) -> list[tuple[float, float]]:
    """(IoU of the observed mask, IoU of a filled box) of objects in sampled frames, after equalizing centers and
    areas.
    """
    wanted, seen, covered_TN = run.wanted_tracks, run.seen_tracks, run.covered_TN
    n_frames, n_objects, height, width = run.wanted.shape
    found = []
    for t in np.unique(np.linspace(0, n_frames - 1, FRAMES).round().astype(int)).tolist():
        for n in range(n_objects):
            edges = run.wanted.mask_edges(t, n)
            if not len(edges) or covered_TN[t, n] or _at_border(edges, height, width):
                continue
            center, log_size = wanted.centers_TN2[t, n], wanted.log_size_TN[t, n]
            box = _fill_box(edges, width)
            box_iou = iou(_place(box, center, log_size, _center_of(box, width), 0.5 * np.log(area(box)), run.wanted),
                          edges)  # fmt: skip
            if box_iou >= BOXY:
                continue
            mine = run.seen.mask_edges(t, n)
            placed = _place(mine, center, log_size, seen.centers_TN2[t, n], seen.log_size_TN[t, n], run.wanted)
            found.append((iou(placed, edges) if len(mine) else 0.0, box_iou))
    return found


def _place(
    edges: np.ndarray, center: np.ndarray, log_size: float, own_center: np.ndarray, own_log_size: float,
    like: MaskSequence,
) -> np.ndarray:  # fmt: skip
    """A mask moved and resized to this center and size."""
    factor = float(np.exp(log_size - own_log_size))
    if abs(factor - 1) < 1e-9 and np.allclose(center, own_center):
        return edges
    map_23 = np.array(
        [[factor, 0, center[0] - factor * own_center[0]], [0, factor, center[1] - factor * own_center[1]]]
    )
    return warp_edges(edges, map_23, like.height, like.width)


def _at_border(edges: np.ndarray, height: int, width: int) -> bool:
    x0, y0, x1, y1 = box_xyxy(edges, width)
    return x0 == 0 or y0 == 0 or x1 == width or y1 == height


def _fill_box(edges: np.ndarray, width: int) -> np.ndarray:
    x0, y0, x1, y1 = box_xyxy(edges, width)
    return edges_of(np.ones((y1 - y0, x1 - x0), np.bool_), y0, x0, width)


def _center_of(box_edges: np.ndarray, width: int) -> np.ndarray:
    x0, y0, x1, y1 = box_xyxy(box_edges, width)
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2])
