"""Drift: how colors, contrast and sharpness change from clip to clip of a long video, and how visible the joins are.

These metrics are for videos generated clip by clip (paper, section 3.3). For each clip, eight statistics are averaged
over its frames: mean and standard deviation of red, green and blue, contrast (standard deviation of luma), and
sharpness (mean absolute Laplacian of luma). The trend of a statistic is its slope from clip to clip.

- `drift` is the mean absolute slope of the eight statistics. Slopes of the color means are fractions of 255 per clip;
  the other slopes are fractions of the statistic's mean over the video. Noise alone makes `drift` positive, so compare
  videos of equal length.
- `mask_drift` is the slope of S_m per clip. Below 0, the video follows its masks less and less.
- The details (`rows.jsonl`) have each slope with its 95% interval (`slope_red_mean`, `low_red_mean`, `high_red_mean`),
  the number of intervals that exclude 0 (`n_drifting`), and `seam`: the change between frames across joins, divided by
  the change elsewhere.
- A slope needs at least 3 clips, and its interval at least 8. The interval accounts for clips that resemble the
  previous clip (Santer et al. 2000), but is too narrow for short videos with strong autocorrelation
  (docs/results/accuracy.md#drift-of-long-videos).
- The positions of the joins come from `provenance.json` next to the video. Without this file, set `new_frames`, the
  number of frames that each clip adds.
- The suite `drift` has both metrics.
- A trend need not be an error: a camera that moves from meadow to sky also changes colors. Compare systems on the same
  prompts and masks.
"""

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.base.options import Options
from mvideo_core.evaluation.base import METRICS, Metric, VideoScore
from mvideo_core.evaluation.drift_meter import (
    STATISTICS,
    Trend,
    clip_means,
    fit_trend,
    frame_statistics,
    seam_ratio,
    share_of,
)
from mvideo_core.evaluation.metrics.mask_miou import MaskMiou, MaskMiouOptions
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.evaluation.video_facts import frames_in
from mvideo_core.media.probe import MediaInfo

FEWEST_CLIPS = 3


class ClipOptions(Options):
    """Where the joins are."""

    new_frames: int = Field(
        default=0,
        ge=0,
        description="frames each clip adds to the video; 0 = from the provenance.json that `mvideo generate` writes "
        "next to it",
    )


@METRICS.register("drift")
class Drift(Metric):
    """Mean over the statistics of |slope| per clip, as a share (`share_of`); 0 = no drift."""

    Options = ClipOptions
    license = "Apache-2.0 (own code, no weights)"

    def __init__(self, options: ClipOptions):
        self.options = options

    @classmethod
    def load(cls, options: ClipOptions, device: str = "cpu") -> Self:
        """Nothing to load; `device` is not used."""
        return cls(options)

    @classmethod
    def find_problems(cls, video: EvalVideo, info: MediaInfo, options: Any) -> list[str]:
        """Joins unknown, or too few clips."""
        return clip_problems(video, info, options)

    def score(self, video: EvalVideo) -> VideoScore:
        """The mean slope; `details` has each statistic's slope and interval, n_drifting, and the seam.

        Raises:
            MediaError: unreadable, joins unknown, or fewer than 3 whole clips.
        """
        new_frames = find_joins(video, self.options)
        frames_THWC = video.frames_THWC
        means_KS = clip_means(frame_statistics(frames_THWC), new_frames)
        check_clips(video, len(means_KS), new_frames)
        trends = {
            name: fit_trend(share_of(name, values_K)) for name, values_K in zip(STATISTICS, means_KS.T, strict=True)
        }
        details = {"n_clips": float(len(means_KS)), "n_drifting": float(sum(one.drifts for one in trends.values()))}
        seam = seam_ratio(frames_THWC, new_frames)
        details |= {"seam": seam} if np.isfinite(seam) else {}
        for name, trend in trends.items():
            details |= describe_trend(trend, f"_{name}")
        return VideoScore(value=float(np.mean([abs(one.slope) for one in trends.values()])), details=details)


class MaskDriftOptions(MaskMiouOptions, ClipOptions):
    """Joins, and the options of S_m."""


@METRICS.register("mask_drift")
class MaskDrift(Metric):
    """Slope of S_m per clip, positive = better from clip to clip; the mean of clips that have a mask."""

    Options = MaskDriftOptions
    needs = frozenset({"masks"})
    memory_options = MaskMiou.memory_options
    license = MaskMiou.license

    def __init__(self, metric: MaskMiou, options: MaskDriftOptions):
        self.metric, self.options = metric, options
        self.weights_sha256 = metric.weights_sha256

    @classmethod
    def uses_mini_network(cls, options: Any) -> bool:
        """Whether the segmenter is smaller than every public one."""
        return MaskMiou.uses_mini_network(options)

    @classmethod
    def load(cls, options: Any, device: str = "cpu") -> Self:
        """With weights from disk.

        Raises:
            ModelError: weights missing. ConfigError: unknown segmenter or options.
        """
        return cls(MaskMiou.load(options, device), options)

    @classmethod
    def find_problems(cls, video: EvalVideo, info: MediaInfo, options: Any) -> list[str]:
        """As S_m and drift."""
        return [*MaskMiou.find_problems(video, info, options), *clip_problems(video, info, options)]

    def score(self, video: EvalVideo) -> VideoScore:
        """The slope; `details` has its interval.

        Raises:
            MediaError: as S_m, joins unknown, fewer than 3 whole clips, or a clip without a scored frame.
        """
        new_frames = find_joins(video, self.options)
        overlaps_T = self.metric.score(video).per_frame
        per_frame = np.array([np.nan if one is None else one for one in overlaps_T])
        check_clips(video, (len(per_frame) - 1) // new_frames, new_frames)
        counts_K = clip_means(~np.isnan(per_frame), new_frames)
        if not counts_K.all():
            raise MediaError(
                f"{video.item.id}: no mask in any frame of clip {int(np.argmin(counts_K))}, so S_m has no trend there"
            )
        values_K = clip_means(np.nan_to_num(per_frame), new_frames) / counts_K
        trend = fit_trend(values_K)
        return VideoScore(value=trend.slope, details={"n_clips": float(len(values_K)), **describe_trend(trend)})


def describe_trend(trend: Trend, suffix: str = "") -> dict[str, float]:
    """Slope and interval under fixed names: slope_red_mean, low_red_mean, high_red_mean."""
    found = {f"slope{suffix}": trend.slope}
    if trend.low is not None and trend.high is not None:
        found |= {f"low{suffix}": trend.low, f"high{suffix}": trend.high}
    return found


def clip_problems(video: EvalVideo, info: MediaInfo, options: ClipOptions) -> list[str]:
    """Why a video has no trend; nothing if it has one."""
    try:
        new_frames = find_joins(video, options)
        check_clips(video, (frames_in(info) - 1) // new_frames, new_frames)
    except MediaError as error:
        return [str(error).removeprefix(f"{video.item.id}: ")]
    return []


def check_clips(video: EvalVideo, n_clips: int, new_frames: int) -> None:
    """Raise MediaError if there are too few whole clips for a trend."""
    if n_clips < FEWEST_CLIPS:
        raise MediaError(
            f"{video.item.id}: {n_clips} whole clips of {new_frames} new frames; a trend needs {FEWEST_CLIPS}: "
            "generate a longer video, or correct new_frames"
        )


def find_joins(video: EvalVideo, options: ClipOptions) -> int:
    """Frames that each clip adds.

    Raises:
        MediaError: neither the options nor a provenance.json of `mvideo generate` say so.
    """
    if options.new_frames:
        return options.new_frames
    place = Path(video.path).with_name("provenance.json")
    try:
        decides = json.loads(place.read_text(encoding="utf-8"))["decides"]
        new_frames = int(decides["format"]["clip_frames"]) - 1
    except (OSError, ValueError, KeyError, TypeError):
        new_frames = 0
    if new_frames < 1:
        raise MediaError(
            f"{video.item.id}: {place} does not say how long its clips are; set the metric's new_frames (32 for MVideo "
            "at 8 fps)"
        )
    return new_frames
