"""Score first-frame detections: located, named, missed, false."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mvideo_core.base.records import DetectionRow
from mvideo_core.miniworld.accuracy.figures import BadCase, DetectionFigures, Score
from mvideo_core.miniworld.accuracy.mapping import ClipTruth
from mvideo_core.perception.detection.select import iou_matrix


def match_by_score(
    found: np.ndarray, scores: Sequence[float] | np.ndarray, true: np.ndarray, threshold: float
) -> list[tuple[int, int]]:
    """One-to-one (found, true) pairs, best scores first, each with its best free box of at least `threshold` IoU."""
    overlap = iou_matrix(found, true)
    pairs, free = [], set(range(len(true)))
    for index in sorted(range(len(found)), key=lambda i: (-scores[i], i)):
        best = max(free, key=lambda j: (overlap[index, j], -j), default=None)
        if best is not None and overlap[index, best] >= threshold:
            pairs.append((index, best))
            free.discard(best)
    return pairs


class DetectionCounter:
    """Accumulates first frames."""

    def __init__(self, iou_threshold: float):
        self.iou_threshold = iou_threshold
        self.n_frames = self.false_alarms = 0
        self.asked: Counter[tuple[str, bool]] = Counter()
        self.located: Counter[tuple[str, bool]] = Counter()
        self.named: Counter[str] = Counter()
        self.confusions: Counter[str] = Counter()
        self.ious: list[float] = []
        self.bad: list[BadCase] = []

    def add(self, clip: ClipTruth, row: DetectionRow | None) -> None:
        """Add one clip; a missing or failed row counts as no detections."""
        first = row.on(0) if row else []
        found = np.array([row.boxes_xyxy[n] for n in first] if row else [], float).reshape(-1, 4)
        labels, scores = ([row.labels[n] for n in first], [row.scores[n] for n in first]) if row else ([], [])
        asked, ignored = clip.objects_at(0)
        true = np.array([clip.box(0, obj) for obj in asked]).reshape(-1, 4)
        pairs = match_by_score(found, scores, true, self.iou_threshold)
        overlap = iou_matrix(found, true)
        self.n_frames += 1
        for obj in asked:
            self.asked[self._class(clip, obj)] += 1
        for index, j in pairs:
            self._locate(clip, asked[j], labels[index], found[index], float(overlap[index, j]))
        for j in set(range(len(asked))) - {j for _, j in pairs}:
            self._note("missed", clip, clip.objects[asked[j]].label, true[j], asked[j])
        others = np.array([clip.box(0, obj) for obj in ignored]).reshape(-1, 4)
        for index in sorted(set(range(len(found))) - {index for index, _ in pairs}):
            if len(others) and measure_inside(found[index], others).max() >= 0.5:
                continue
            self.false_alarms += 1
            self._note("false box", clip, labels[index], found[index])

    def _class(self, clip: ClipTruth, obj: int) -> tuple[str, bool]:
        return clip.objects[obj].label, clip.objects[obj].unseen

    def _locate(self, clip: ClipTruth, obj: int, label: str, box: np.ndarray, iou: float) -> None:
        true, unseen = self._class(clip, obj)
        self.located[true, unseen] += 1
        self.ious.append(iou)
        if label == true:
            self.named[true] += 1
        else:
            self.confusions[f"{true} > {label}"] += 1
            if not unseen:
                self._note("wrong name", clip, f"{true}, called {label}", box, obj, iou)

    def _note(self, kind, clip: ClipTruth, label: str, box: np.ndarray, obj: int = -1, value: float = 0.0) -> None:
        self.bad.append(BadCase(kind=kind, video=clip.truth.name, clip=clip.clip.key, label=label, value=value,
                                object_id=obj, box_xyxy=[round(float(v), 2) for v in box]))  # fmt: skip

    def figures(self) -> DetectionFigures:
        """Rates so far."""
        counts = {unseen: (_total(self.located, unseen), _total(self.asked, unseen)) for unseen in (False, True)}
        hits, asked = (sum(pair[i] for pair in counts.values()) for i in (0, 1))
        seen_named = sum(self.named[name] for name, unseen in self.located if not unseen)
        return DetectionFigures(
            iou_threshold=self.iou_threshold,
            n_frames=self.n_frames,
            all=Score.of(hits, asked - hits, self.false_alarms),
            seen=Score.of(counts[False][0], counts[False][1] - counts[False][0], 0),
            unseen=Score.of(counts[True][0], counts[True][1] - counts[True][0], 0),
            class_accuracy=seen_named / counts[False][0] if counts[False][0] else None,
            mean_iou=float(np.mean(self.ious)) if self.ious else 0.0,
            by_class={name: [n, self.located[name, unseen], self.named[name]]
                      for (name, unseen), n in sorted(self.asked.items())},
            confusions=dict(sorted(self.confusions.items(), key=lambda item: (-item[1], item[0]))),
        )  # fmt: skip


def measure_inside(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(M,) intersection over the smaller of the two areas."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    smaller = np.minimum((box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1))
    return shared / np.maximum(smaller, 1e-9)


def _total(counts: Counter[tuple[str, bool]], unseen: bool) -> int:
    return sum(n for (_, flag), n in counts.items() if flag == unseen)
