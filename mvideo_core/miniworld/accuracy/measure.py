"""Compare all rows of a run with the ground truth of its world."""

import logging
from pathlib import Path
from typing import Any

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.miniworld.accuracy.boxes import DetectionCounter
from mvideo_core.miniworld.accuracy.captions import CaptionCounter
from mvideo_core.miniworld.accuracy.cuts import CutCounter, boundaries_of
from mvideo_core.miniworld.accuracy.evidence import Rows, VideoEvidence, by_video
from mvideo_core.miniworld.accuracy.figures import AccuracyReport, BadCase
from mvideo_core.miniworld.accuracy.funnel import FunnelCounter
from mvideo_core.miniworld.accuracy.mapping import Fit, clip_truth
from mvideo_core.miniworld.accuracy.masklets import MaskCounter

log = logging.getLogger(__name__)


class AccuracyOptions(Options):
    """Criteria for correctness. Repeat the cut stage's settings here if they are not the defaults."""

    cut_tolerance_s: float = Field(
        default=0.25, ge=0, description="maximum distance of a boundary from the transition, seconds"
    )
    box_iou: float = Field(default=0.5, gt=0, le=1, description="minimum IoU of a located box")
    match_iou: float = Field(
        default=0.5, gt=0, le=1, description="minimum first-frame mask IoU to match a masklet to an object"
    )
    funnel_margin_s: float = Field(
        default=0.5, ge=0, description="margin around the length limit in which both outcomes are correct, seconds"
    )
    min_shot_s: float = Field(default=8.0, ge=0, description="seconds; the cut stage's `min_shot_s`")
    trim_s: float = Field(default=0.25, ge=0, description="seconds; the cut stage's `trim_s`")
    clip_fps: float = Field(default=8.0, gt=0, description="frames per second; the cut stage's `fps`")
    fit: Fit = Field(default="cover", description="the cut stage's `fit`")
    worst: int = Field(
        default=24, ge=0, le=500, description="number of bad cases on the page, at most a third per kind"
    )
    strips: int = Field(default=12, ge=0, le=500, description="maximum crossings, and maximum returns, on the page")


def measure(truth_folder: str | Path, rows: Rows, options: AccuracyOptions | None = None) -> AccuracyReport:
    """Measure the accuracy of every stage with rows.

    Args:
        truth_folder: `truth/` of a world folder; every video in it counts, even without rows.
        rows: all rows of the run; see `Rows`.

    Raises:
        ConfigError: no truth there, or the rows are for other videos.
        MediaError: a truth or mask file is damaged.
    """
    options = options or AccuracyOptions()
    counting = _Counting(options, rows)
    for video in by_video(truth_folder, rows):
        counting.add(video)
        log.info("measured %s: %d clips", video.truth.name, len(video.ok_clips))
    return counting.report(str(truth_folder))


class _Counting:
    def __init__(self, options: AccuracyOptions, rows: Rows):
        self.options, self.rows = options, rows
        self.cuts = CutCounter(options.cut_tolerance_s)
        self.funnel = FunnelCounter(options.min_shot_s, options.funnel_margin_s, options.cut_tolerance_s)
        self.boxes = DetectionCounter(options.box_iou)
        self.masks = MaskCounter(options.match_iou)
        self.captions = CaptionCounter()

    def add(self, video: VideoEvidence) -> None:
        self.cuts.add(boundaries_of(video.clips, self.options.trim_s, self.options.clip_fps), video.truth.cuts)
        self.funnel.add(video)
        for clip in video.ok_clips:
            truth = clip_truth(video.truth_path, video.truth, clip, self.options.fit)
            if self.rows.detections:
                self.boxes.add(truth, video.detections.get(clip.key))
            if self.rows.masks:
                row = video.masks.get(clip.key)
                found = self.rows.open_masks(row) if row is not None and row.masks is not None else None
                self.masks.add(truth, row, found)
            caption = video.captions.get(clip.key)
            if caption is not None and caption.status == "ok":
                self.captions.add(truth, caption.text)

    def report(self, truth_folder: str) -> AccuracyReport:
        options: dict[str, Any] = self.options.model_dump(mode="json")
        return AccuracyReport(
            options=options,
            truth=truth_folder,
            cuts=self.cuts.figures() if self.rows.clips else None,
            detection=self.boxes.figures() if self.rows.detections else None,
            masks=self.masks.figures() if self.rows.masks else None,
            captions=self.captions.figures() if self.captions.n_clips else None,
            funnel=self.funnel.figures(),
            worst=self._find_worst(),
            crossings=self.masks.identity.crossings,
            returns=self.masks.identity.returns,
        )

    def _find_worst(self) -> list[BadCase]:
        third = max(1, self.options.worst // 3)
        masks = sorted(self.masks.bad, key=lambda case: (case.value, case.clip))[:third]
        boxes = sorted(self.boxes.bad, key=lambda case: (case.value, case.clip, case.kind))[:third]
        return [*masks, *boxes, *self.funnel.bad[:third]][: self.options.worst]
