"""What a mask's trust is predicted from: numbers about every mask that need no further model.

A second pass over a clip, frame by frame, once its masks are known; works for every segmenter. Time runs outwards from
the frame of an object's box: "before" is the neighboring frame nearer to it.

Letters: T frames, N objects, F features. Sizes are relative to the mask or the frame, so that a clip's size matters
little; its frame rate does.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.measure import box_xyxy
from mvideo_core.perception.segmentation.discovery import BORDER_FRAC, color_histogram

MEASURED = (
    "score", "area", "x", "y", "parts", "main_share", "border", "extent", "raggedness", "contrast", "edge", "overlap",
    "crowding", "frame_change",
)  # fmt: skip
"""Features of one mask; see `_measure_mask`."""
STEPS = ("iou", "colors")
"""Features of a mask and the one a frame earlier: IoU once both have the same center, and overlap of color
histograms."""
FEATURES = (
    "score", "score_mean", "score_least", "score_change",
    "size", "size_step", "size_step_most", "size_since_start",
    "iou_before", "iou_before_mean", "iou_before_least", "speed", "speed_change", "speed_change_most",
    "parts", "main_share", "border", "extent", "extent_since_start", "raggedness",
    "colors_before", "colors_before_least", "colors_since_start", "contrast", "contrast_since_start", "edge",
    "edge_since_start", "overlap", "overlap_most", "crowding", "crowding_most", "frame_change", "frame_change_most",
    "age", "absent", "returned", "detection_score", "seen_again", "unseen_share", "agreement",
)  # fmt: skip
"""In the order of the last axis. NaN = unknown, such as `seen_again` if detection looked at the first frame only."""
REFERENCE_FRAMES = 4
"""Masks from an object's start on that later ones are compared with."""
RECENT = 0.8
"""Weight of the past in the running means."""
CHANGE_PX = 32
"""Side of the small picture whose change shows a cut or a flash."""


def measure_clip(
    sequence: MaskSequence, scores_TN: np.ndarray, frames: Iterable[np.ndarray], detection_scores: Sequence[float],
    searched: Sequence[int] = (), starts: Mapping[int, int] | None = None,
    seen_on: Mapping[int, Iterable[int]] | None = None, agreement: Mapping[int, Mapping[int, float]] | None = None,
) -> np.ndarray:  # fmt: skip
    """Features of every mask of a clip.

    Args:
        sequence: T frames, N objects.
        scores_TN: the segmenter's scores; all 1 if it gives none.
        frames: the clip's T frames, RGB uint8 (H, W, 3), read once, one at a time.
        detection_scores: N.
        searched: frames on which detection looked; none or one = it never looked again.
        starts: frame of each object's box, by number; 0 if it is not there.
        seen_on: frames on which detection saw each object, by number.
        agreement: IoU of masks tracked from different frames, by object and frame (`Found.agreement`).

    Returns:
        float32 (T, N, F); all NaN where an object has no mask.

    Raises:
        MediaError: there are more or fewer frames than masks.
    """
    shape = sequence.n_frames, sequence.n_objects
    measured = np.full((*shape, len(MEASURED)), np.nan, np.float32)
    steps = np.full((*shape, len(STEPS)), np.nan, np.float32)
    colors = np.zeros((*shape, 64), np.float16)
    watch, last = _Change(), [np.zeros((0, 0), bool)] * sequence.n_objects
    n_frames = 0
    for t, frame in enumerate(frames):
        n_frames = t + 1
        if t >= sequence.n_frames:
            break
        change, masks = watch.of(frame), sequence.frame(t)
        boxes = [box_xyxy(sequence.mask_edges(t, n), sequence.width) for n in range(sequence.n_objects)]
        for n, (x0, y0, x1, y1) in enumerate(boxes):
            own = masks[n, y0:y1, x0:x1]
            if own.size:
                measured[t, n] = _measure_mask(n, masks, boxes, frame, float(scores_TN[t, n]), change)
                colors[t, n] = color_histogram(frame[y0:y1, x0:x1], own)
                if last[n].size:
                    steps[t, n] = _aligned_iou(last[n], own), np.minimum(colors[t - 1, n], colors[t, n]).sum()
            last[n] = own
    if n_frames != sequence.n_frames:
        other = "more" if n_frames > sequence.n_frames else str(n_frames)
        raise MediaError(f"masks of {sequence.n_frames} frames, but the clip has {other}; run stage cut again")
    found = np.full((*shape, len(FEATURES)), np.nan, np.float32)
    for n in range(sequence.n_objects):
        start, seen = (starts or {}).get(n, 0), (seen_on or {}).get(n)
        for along in (np.arange(start, -1, -1), np.arange(start, shape[0])):
            rows = _follow(measured[:, n], steps[:, n], colors[:, n], along, float(detection_scores[n]))
            rows[:, -3:-1] = _sightings(along, seen, searched)
            found[along, n] = rows
        for t, value in (agreement or {}).get(n, {}).items():
            found[t, n, -1] = value
    found[np.isnan(measured[:, :, 0])] = np.nan
    return found


class _Change:
    """Mean difference of consecutive frames at a small size, as a share of 255; 0 for the first."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None

    def of(self, frame: np.ndarray) -> float:
        import cv2

        small = cv2.resize(frame, (CHANGE_PX, CHANGE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
        change = 0.0 if self._last is None else float(np.abs(small - self._last).mean()) / 255
        self._last = small
        return change


def _measure_mask(
    n: int, masks: np.ndarray, boxes: Sequence[tuple[int, int, int, int]], frame: np.ndarray, score: float,
    change: float,
) -> list[float]:  # fmt: skip
    """Values of `MEASURED` for mask n of a frame."""
    import cv2

    x0, y0, x1, y1 = boxes[n]
    height, width = frame.shape[:2]
    side = np.sqrt(height * width)
    own = masks[n, y0:y1, x0:x1]
    area = int(own.sum())
    rows, columns = np.nonzero(own)
    _, _, stats, _ = cv2.connectedComponentsWithStats(own.astype(np.uint8))
    parts = stats[1:, cv2.CC_STAT_AREA]
    parts = parts[parts >= max(4, 0.005 * area)]
    reach = BORDER_FRAC * min(height, width)
    border = x0 <= reach or y0 <= reach or x1 >= width - reach or y1 >= height - reach
    runs = int(np.count_nonzero(np.diff(np.pad(own, ((0, 0), (1, 1))).astype(np.int8), axis=1) > 0))
    contrast, edge = _outline(masks[n], boxes[n], frame)
    overlap, crowding = _others(n, masks, boxes, area)
    main = float(stats[1:, cv2.CC_STAT_AREA].max()) / area
    return [
        score, area / (height * width), (x0 + float(columns.mean())) / side, (y0 + float(rows.mean())) / side,
        max(1, len(parts)), main, float(border), area / own.size, runs / (y1 - y0), contrast, edge, overlap, crowding,
        change,
    ]  # fmt: skip


def _outline(
    mask: np.ndarray, box: tuple[int, int, int, int], frame: np.ndarray
) -> tuple[float, float]:  # fmt: skip
    """How different the colors on both sides of the outline are (0 to 1), and how strong the picture's edges are on
    it, against those inside (log ratio)."""
    import cv2

    side = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    ring_px = int(np.clip(round(0.1 * side), 2, 12))
    y, x = slice(max(0, box[1] - ring_px), box[3] + ring_px), slice(max(0, box[0] - ring_px), box[2] + ring_px)
    own = mask[y, x].astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    outside = (cv2.dilate(own, kernel, iterations=ring_px) > 0) & (own == 0)
    core = cv2.erode(own, kernel, borderValue=1) > 0
    rim = (cv2.dilate(own, kernel) > 0) & ~core
    part = frame[y, x]
    contrast = 0.0
    if outside.any():
        contrast = 1 - float(np.minimum(color_histogram(part, own > 0), color_histogram(part, outside)).sum())
    down, across = np.gradient(part.mean(axis=2, dtype=np.float32))
    strength = np.hypot(down, across)
    inside = float(strength[core].mean()) if core.any() else 0.0
    return contrast, float(np.log((strength[rim].mean() + 2) / (inside + 2)))


def _others(
    n: int, masks: np.ndarray, boxes: Sequence[tuple[int, int, int, int]], area: int
) -> tuple[float, float]:  # fmt: skip
    """Largest share of mask n that another mask covers, and of its box that another mask's box covers."""
    x0, y0, x1, y1 = boxes[n]
    overlap = crowding = 0.0
    for other, (a0, b0, a1, b1) in enumerate(boxes):
        shared = max(0, min(x1, a1) - max(x0, a0)) * max(0, min(y1, b1) - max(y0, b0))
        if other != n and shared:
            crowding = max(crowding, shared / ((x1 - x0) * (y1 - y0)))
            both = masks[n, y0:y1, x0:x1] & masks[other, y0:y1, x0:x1]
            overlap = max(overlap, int(both.sum()) / area)
    return overlap, crowding


def _aligned_iou(before: np.ndarray, after: np.ndarray) -> float:
    """IoU of two masks (H, W), neither empty, once the first is moved so that their centers agree to a pixel.

    Either may be cropped to its box.
    """
    a, b = np.argwhere(before), np.argwhere(after)
    a = a - np.round(a.mean(axis=0) - b.mean(axis=0)).astype(a.dtype)
    low = np.minimum(a.min(axis=0), b.min(axis=0))
    height, width = np.maximum(a.max(axis=0), b.max(axis=0)) - low + 1
    moved, held = np.zeros((2, height, width), bool)
    moved[tuple((a - low).T)], held[tuple((b - low).T)] = True, True
    return int((moved & held).sum()) / int((moved | held).sum())


def _follow(
    measured: np.ndarray, steps: np.ndarray, colors: np.ndarray, along: np.ndarray, detection_score: float
) -> np.ndarray:  # fmt: skip
    """Features of one object on frames in this order, without the last three; NaN where it has no mask."""
    rows = np.full((len(along), len(FEATURES)), np.nan, np.float32)
    past = _Past()
    for row, t in enumerate(along):
        if np.isnan(measured[t, 0]):
            past.miss()
            continue
        step = steps[max(t, along[row - 1])] if row else np.full(len(STEPS), np.nan)
        now = dict(zip(MEASURED, measured[t].tolist(), strict=True))
        rows[row, :-3] = past.add(now, step, colors[t], row, detection_score)
    return rows


class _Past:
    """What is known of an object before a frame."""

    def __init__(self) -> None:
        self.first: list[tuple[dict[str, float], np.ndarray]] = []
        self.before: dict[str, float] | None = None
        self.velocity = np.zeros(2)
        self.score_mean = self.iou_mean = self.score_least = self.iou_least = self.colors_least = 1.0
        self.most = dict.fromkeys(("size_step", "speed_change", "overlap", "crowding", "frame_change"), 0.0)
        self.absent = self.returned = 0

    def miss(self) -> None:
        """A frame without a mask."""
        self.before = None
        self.absent += 1
        self.returned += bool(self.first) and self.absent == 1

    def add(
        self, now: dict[str, float], step: np.ndarray, colors: np.ndarray, age: int, detection_score: float
    ) -> list[float]:  # fmt: skip
        """The features of the next mask."""
        fresh = not self.first
        if len(self.first) < REFERENCE_FRAMES:
            self.first.append((now, colors.astype(np.float32)))
        at_first = {name: float(np.mean([one[name] for one, _ in self.first])) for name in now}
        first_colors = np.mean([held for _, held in self.first], axis=0)
        size_step, speed, speed_change = self._motion(now)
        iou, same_colors = (1.0 if np.isnan(value) else float(value) for value in step)
        if fresh:
            self.score_mean, self.score_least = now["score"], now["score"]
        change = now["score"] - self.score_mean
        self.score_mean = RECENT * self.score_mean + (1 - RECENT) * now["score"]
        self.iou_mean = RECENT * self.iou_mean + (1 - RECENT) * iou
        self.score_least, self.iou_least = min(self.score_least, now["score"]), min(self.iou_least, iou)
        self.colors_least = min(self.colors_least, same_colors)
        values = {"size_step": size_step, "speed_change": speed_change} | now
        self.most = {name: max(value, values[name]) for name, value in self.most.items()}
        absent, self.absent, self.before = self.absent, 0, now
        return [
            now["score"], self.score_mean, self.score_least, change,
            np.log(now["area"]), size_step, self.most["size_step"], np.log(now["area"] / at_first["area"]),
            iou, self.iou_mean, self.iou_least, speed, speed_change, self.most["speed_change"],
            now["parts"], now["main_share"], now["border"], now["extent"], now["extent"] - at_first["extent"],
            now["raggedness"], same_colors, self.colors_least,
            float(np.minimum(first_colors, colors).sum()), now["contrast"], now["contrast"] - at_first["contrast"],
            now["edge"], now["edge"] - at_first["edge"], now["overlap"], self.most["overlap"], now["crowding"],
            self.most["crowding"], now["frame_change"], self.most["frame_change"], np.log1p(age), float(absent),
            float(self.returned), detection_score,
        ]  # fmt: skip

    def _motion(self, now: dict[str, float]) -> tuple[float, float, float]:
        """Change of size (log), speed and change of velocity, per frame, in square roots of the mask's area."""
        before = self.before
        if before is None:
            self.velocity = np.zeros(2)
            return 0.0, 0.0, 0.0
        way = np.array([now["x"] - before["x"], now["y"] - before["y"]])
        unit = np.sqrt(now["area"])
        turn = float(np.hypot(*(way - self.velocity))) / unit
        self.velocity = way
        return abs(float(np.log(now["area"] / before["area"]))), float(np.hypot(*way)) / unit, turn


def _sightings(along: np.ndarray, seen: Iterable[int] | None, searched: Sequence[int]) -> np.ndarray:
    """Whether detection saw the object when it last looked, and on which share of its looks it did not; NaN if it
    looked only once."""
    out = np.full((len(along), 2), np.nan, np.float32)
    if seen is None or len(searched) < 2:
        return out
    seen = set(seen)
    looks, hits, latest = 0, 0, np.nan
    for row, t in enumerate(along.tolist()):
        if t in searched:
            looks += 1
            hits += t in seen
            latest = float(t in seen)
        out[row] = latest, 1 - hits / looks if looks else np.nan
    return out
