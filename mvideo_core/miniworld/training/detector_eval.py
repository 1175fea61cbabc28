"""Evaluate a detector on held-out shots of the world: boxes at IoU 0.5, and their labels."""

import argparse
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.miniworld.accuracy.boxes import match_by_score
from mvideo_core.miniworld.world import sample_frame, unseen_classes
from mvideo_core.miniworld.world.spec import Split
from mvideo_core.perception.detection import DETECTORS
from mvideo_core.perception.detection.base import Detections
from mvideo_core.perception.detection.options import DetectOptions
from mvideo_core.perception.detection.select import iou_matrix, select

log = logging.getLogger(__name__)

HW = (480, 720)


class Match(NamedTuple):
    """One frame compared with its truth. Pairs are (detection, object); ignored objects are in no list."""

    pairs: list[tuple[int, int]]
    missed: list[int]
    wrong: list[int]


def match(found: Detections, truth_xyxy: np.ndarray, ignored_xyxy: np.ndarray, min_iou: float = 0.5) -> Match:
    """Best score first, match each detection with the free object it overlaps most, regardless of label.

    A detection on an ignored object (IoU at least `min_iou`) is neither correct nor wrong.
    """
    boxes = found.boxes_xyxy.astype(np.float64)
    pairs = match_by_score(boxes, found.scores, truth_xyxy, min_iou)
    on_ignored = iou_matrix(boxes, ignored_xyxy).max(axis=1, initial=0) >= min_iou
    wrong = set(np.flatnonzero(~on_ignored).tolist()) - {i for i, _ in pairs}
    return Match(pairs, sorted(set(range(len(truth_xyxy))) - {g for _, g in pairs}), sorted(wrong))


class Tally:
    """Accumulates counts over frames and computes the metrics."""

    def __init__(self) -> None:
        self.frames = self.found = 0
        self.asked: Counter[str] = Counter()
        self.located: Counter[str] = Counter()
        self.named: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.confused: Counter[tuple[str, str]] = Counter()
        self.iou_sum = 0.0

    def add(self, found: Detections, labels: Sequence[str], truth_xyxy: np.ndarray, ignored_xyxy: np.ndarray) -> None:
        """One frame."""
        result = match(found, truth_xyxy, ignored_xyxy)
        self.frames += 1
        self.asked.update(labels)
        self.found += len(result.pairs) + len(result.wrong)
        self.wrong.update(found.labels[i] for i in result.wrong)
        for i, g in result.pairs:
            self.located[labels[g]] += 1
            self.named[labels[g]] += found.labels[i] == labels[g]
            self.iou_sum += float(iou_matrix(found.boxes_xyxy[[i]].astype(np.float64), truth_xyxy[[g]])[0, 0])
            if found.labels[i] != labels[g]:
                self.confused[labels[g], found.labels[i]] += 1

    def figures(self) -> dict[str, Any]:
        """Recall and precision of boxes, label accuracy of found objects, mean IoU; also per class."""
        located, asked = self.located.total(), self.asked.total()
        return {
            "frames": self.frames,
            "objects": asked,
            "recall": _ratio(located, asked),
            "precision": _ratio(located, self.found),
            "class_accuracy": _ratio(self.named.total(), located),
            "mean_iou": _ratio(self.iou_sum, located),
            "per_class": {
                name: {
                    "objects": self.asked[name],
                    "recall": _ratio(self.located[name], self.asked[name]),
                    "class_accuracy": _ratio(self.named[name], self.located[name]),
                    "false_positives": self.wrong[name],
                }
                for name in sorted(self.asked | self.wrong)
            },
            "confusions": [[a, b, n] for (a, b), n in self.confused.most_common(8)],
        }


def frames(split: Split, n: int, unseen: bool, first_frame: bool) -> Iterator[Any]:
    """World samples at 480x720; the shot's first frame, or one at a time chosen by the seed."""
    for seed in range(n):
        yield sample_frame(seed, HW[1], HW[0], split, unseen, t_s=0.0 if first_frame else None)


def evaluate(
    detector: Any, options: DetectOptions, samples: Iterator[Any], only: frozenset[str] | None = None
) -> Tally:
    """Run detector and selection as in the pipeline.

    Args:
        only: labels that count; other objects are ignored.
    """
    tally = Tally()
    for sample in samples:
        (raw,) = detector.detect([sample.rgb], options.phrases())
        kept = select(raw, options, *HW).kept
        counts = np.array([only is None or label in only for label in sample.labels], bool)
        ignored = np.concatenate([sample.ignored_xyxy, sample.boxes_xyxy[~counts]])
        labels = [label for label, one in zip(sample.labels, counts, strict=True) if one]
        tally.add(kept, labels, sample.boxes_xyxy[counts], ignored)
    return tally


def report(
    detector: Any, n: int, split: Split = "heldout", box_threshold: float = 0.25, nms_iou: float = 0.5
) -> dict[str, Any]:
    """All numbers of the model card, with unseen classes separate.

    `unseen_boxes` prompts for COCO-80 in shots whose first actor has an unseen class: is it found, under any label?
    `unseen_by_name` prompts for the seven names.
    """
    coco = DetectOptions(box_threshold=box_threshold, nms_iou=nms_iou)
    named = coco.model_copy(update={"classes": list(unseen_classes())})
    only = frozenset(unseen_classes())
    return {
        "split": split,
        "box_threshold": box_threshold,
        "nms_iou": nms_iou,
        "first_frame": evaluate(detector, coco, frames(split, n, False, True)).figures(),
        "any_frame": evaluate(detector, coco, frames(split, n, False, False)).figures(),
        "unseen_boxes": evaluate(detector, coco, frames(split, n // 2, True, True), only).figures(),
        "unseen_by_name": evaluate(detector, named, frames(split, n // 2, True, True), only).figures(),
    }


def _ratio(a: float, b: float) -> float | None:
    return round(a / b, 4) if b else None


def main() -> None:
    """Print a model's metrics as JSON."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="mini", help='"mini", a catalog name or a model folder')
    parser.add_argument("--detector", default="groundingdino")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--split", default="heldout")
    parser.add_argument("--threshold", type=float, default=0.25, help="as in the profile mini")
    parser.add_argument("--nms-iou", type=float, default=0.5, help="as in the profile mini")
    parser.add_argument("--json", type=Path, help="also write the metrics to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    kind = DETECTORS.get(args.detector)
    detector = kind.load(kind.Options(weights=args.weights))
    figures = report(detector, args.frames, args.split, args.threshold, args.nms_iou)
    text = json.dumps(figures, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with errors_in_one_line():
        main()
