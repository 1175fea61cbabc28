"""Mask mIoU, the paper's S_m (equation 3): how well a video's objects match the masks it was guided by.

In every frame of the video, SAM2 is prompted with the bounding box of the target mask and predicts a mask. The score is
the mean IoU of target and prediction, 0 to 1, averaged over frames, then over videos. The box gives away position and
extent: a disc and its bounding box already have an IoU of pi/4 = 0.79. So compare a score with [its
controls](docs/evaluation.md#controls-of-s_m).

- **Size and time**: masks may have any size and rate. They are resampled to the video's size (nearest pixel). If there
  are as many masks as frames, mask k belongs to frame k; otherwise they are matched by time. If the video has a higher
  frame rate than its masks, only the frame nearest to each mask counts.
- **Predictions**: one mask per box (`multimask_output=False`), logits above 0, no hole filling.
- **Shape**: the option `fit: same` accepts masks whose aspect ratio differs from the video's by up to 2%. An item's
  `fit` in the manifest overrides the option.
- **Shuffled** (`pairing: shuffled`): each video is scored against the next mask file in a fixed circular order, so no
  video keeps its own masks, and systems with the same ids get the same pairs.
- A video in which no frame counts is a failed item; it does not get a score of 0 or 1.

The details have:

- `box_fill`: the score that filled boxes around the masks would get
- `j`, `f`, `j_and_f`: DAVIS' region similarity and contour accuracy, averaged over frames, then over objects; 1 if both
  masks are empty
- `n_skipped`: frames whose target mask is empty
- `n_between`: frames between two masks, if the video has a higher frame rate
- `n_unmatched`: frames after the masks' end
- `n_unmatched_masks`: masks after the video's end, which score 0
- `n_unfound`: frames with an empty prediction, which score 0

The paper names neither its SAM2 checkpoint nor its rules for empty frames and for several objects, so its scores of
77.90 and 78.34 cannot be reproduced exactly. Results record the options and the SHA-256 of the segmenter's weights.
Occlusion is not modeled: a mask shows what should be visible.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.base import METRICS, Metric, VideoScore
from mvideo_core.evaluation.mask_grid import GridMatch, check_match, check_shape, match_frames, on_grid
from mvideo_core.evaluation.mask_overlap import OverlapPolicy, merge_objects, overlap, prompt_boxes
from mvideo_core.evaluation.segmenter_options import SegmenterOptions
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.evaluation.video_facts import frames_in
from mvideo_core.masks import MaskSequence, MaskWriter
from mvideo_core.masks.io.clip import take_frames
from mvideo_core.media.probe import MediaInfo
from mvideo_core.perception.segmentation import Segmenter
from mvideo_core.perception.segmentation.sam2_image import Sam2ImageMode

NOTHING_TO_TRACK = "no object has a mask on frame 0, so there is nothing to track"
PREDICTED = "predicted.masks"
"""Artifact: predicted masks on the scored frames, at the video's size."""


class MaskMiouOptions(OverlapPolicy, SegmenterOptions):
    """All choices the paper leaves open, and the segmenter."""

    prompt: Literal["per_frame_box", "first_frame_track"] = Field(
        default="per_frame_box",
        description="per_frame_box = the true box in every frame, each frame on its own (the paper); first_frame_track "
        "= boxes on frame 0 only, then tracking: stricter, notices when an object turns into another",
    )
    pairing: Literal["own", "shuffled"] = Field(
        default="own",
        description="shuffled = another item's masks (chosen by the harness): score from boxes alone; implies align "
        "and stretches if aspect ratios differ",
    )
    subject: Literal["video", "source"] = Field(
        default="video", description="source = score the video the masks come from: the upper bound"
    )
    align: bool = Field(
        default=False,
        description="if lengths differ: masks after the video's end score 0, and the item fails if they are over 5%; "
        "frames after the masks' end are ignored and counted. false: an error",
    )
    frames_per_pass: int = Field(
        default=8, ge=1, description="frames per batch with per_frame_box; affects memory only"
    )


@METRICS.register("mask_miou")
class MaskMiou(Metric):
    """Mask mIoU with a segmenter's masks.

    Args:
        segmenter: loaded segmenter; tracks objects in first_frame_track.
        image_mode: predicts masks frame by frame in per_frame_box; None = the segmenter's own.
    """

    Options = MaskMiouOptions
    needs = frozenset({"masks"})
    revision = 3
    memory_options = frozenset({"frames_per_pass"})
    license = "code Apache-2.0; SAM2 code and weights Apache-2.0"

    def __init__(self, segmenter: Segmenter, options: MaskMiouOptions, image_mode: Any = None):
        self.options = options
        self.segmenter = segmenter
        self.weights_sha256 = segmenter.weights_sha256
        self.model_name = segmenter.model_name
        if options.prompt == "per_frame_box" and image_mode is None:
            image_mode = Sam2ImageMode(segmenter, options.frames_per_pass)
        self.image_mode = image_mode

    @classmethod
    def uses_mini_network(cls, options: Any) -> bool:
        """Whether the segmenter is smaller than every public one, regardless of its folder name."""
        return bool(options.is_mini())

    @classmethod
    def find_problems(cls, video: EvalVideo, info: MediaInfo, options: Any) -> list[str]:
        """Masks that do not fit the source video where it is the subject, or nothing to track from frame 0."""
        try:
            masks = video.masks()
            if options.subject == "source":
                source = video.source_info()
                check_source(video, masks, frames_in(source), source.fps, options)
                check_shape(masks, source.height, source.width, video.item.fit or options.fit)
        except MediaError as error:
            return [str(error)] if options.subject == "source" else []  # reported for the item
        tracks = options.prompt == "first_frame_track" and options.pairing == "own"
        return [NOTHING_TO_TRACK] if tracks and not masks.frame(0).any() else []

    @classmethod
    def load(cls, options: Any, device: str = "cpu") -> Self:
        """Load the metric with weights from disk.

        Raises:
            ModelError: weights missing. ConfigError: unknown segmenter or options.
        """
        return cls(options.load_segmenter(device), options)

    def score(self, video: EvalVideo) -> VideoScore:
        """Score one video; the predicted masks are the artifact "predicted.masks".

        Raises:
            MediaError: masks missing, of different length or shape than the video, or without a frame to score.
        """
        target = frames_to_score(video, self.options)
        true, frames = target.true, target.frames_THWC[: target.true.n_frames]
        seen = (
            self.segment_frames(frames, true)
            if self.options.prompt == "per_frame_box"
            else self.track_frames(frames, true)
        )
        scored = np.flatnonzero(target.match.scored)
        found = overlap(take_frames(true, scored), take_frames(seen, scored), self.options, target.lost)
        per_frame: list[float | None] = [None] * true.n_frames
        for frame, value in zip(scored.tolist(), found.per_frame, strict=True):
            per_frame[frame] = value
        n_lost, n_between = target.lost.n_frames, true.n_frames - len(scored)
        details = found.details | {
            "n_objects_left_out": float(target.n_left_out),
            "n_unmatched": float(target.match.n_unmatched),
            "n_unmatched_masks": float(n_lost),
            "n_between": float(n_between),
        }
        return VideoScore(
            value=found.value,
            per_frame=tuple(per_frame),
            n_between=n_between,
            n_lost=n_lost,
            details=details,
            artifacts={PREDICTED: seen.to_bytes()},
        )

    def segment_frames(self, frames_THWC: np.ndarray, true: MaskSequence) -> MaskSequence:
        """Predicted masks from the true box of every object in every frame."""
        prompts = [prompt_boxes(true, frame) for frame in range(true.n_frames)]
        writer = MaskWriter(*true.shape[1:])
        answers = self.image_mode.segment(frames_THWC, [boxes for _, boxes in prompts])
        for (objects, _), found_NHW in zip(prompts, answers, strict=True):
            masks_NHW = np.zeros(true.shape[1:], np.bool_)
            masks_NHW[objects] = found_NHW
            writer.append(masks_NHW)
        return writer.finish()

    def track_frames(self, frames_THWC: np.ndarray, true: MaskSequence) -> MaskSequence:
        """Predicted masks in every frame, tracked from the boxes on frame 0; every object has a mask there."""
        boxes = prompt_boxes(true, 0)[1]
        writer = MaskWriter(*true.shape[1:])
        stream: Iterator[np.ndarray] = iter(frames_THWC)
        for found in self.segmenter.propagate(stream, true.height, true.width, boxes):
            writer.append(found.masks_NHW)
        return writer.finish()


class ScoringInput(NamedTuple):
    """What a video is compared with.

    Attributes:
        frames_THWC: all frames of the video.
        true: masks on its first frames, up to the last that has one.
        match: which frames count.
        lost: nonempty masks after the video's end; they score 0.
        n_left_out: objects that cannot be prompted.
    """

    frames_THWC: np.ndarray
    true: MaskSequence
    match: GridMatch
    lost: MaskSequence
    n_left_out: int


def frames_to_score(video: EvalVideo, options: MaskMiouOptions) -> ScoringInput:
    """Frames to score, and the true masks resized to them.

    Raises:
        MediaError: masks missing, of different length or shape than the video, or none on frame 0 if one is needed.
    """
    shuffled, source = options.pairing == "shuffled", options.subject == "source"
    if shuffled and video.masks_from.id == video.item.id:
        raise MediaError(f"{video.item.id}: shuffled pairing needs the masks of another item; two items are required")
    frames = video.source_frames() if source else video.frames_THWC
    fps = video.source_fps if source else video.fps
    masks, (height, width) = video.masks(), frames.shape[1:3]
    if source:
        match = check_source(video, masks, len(frames), fps, options)
    else:
        match = match_frames(masks.n_frames, video.masks_fps, len(frames), fps)
        if not shuffled:
            check_match(match, masks.n_frames, video.masks_fps, fps, options.align)
    every = match.masks if shuffled else np.concatenate([match.masks, match.lost])
    true = on_grid(masks, every, height, width, "stretch" if shuffled else video.item.fit or options.fit)
    left_out = 0
    if options.prompt == "first_frame_track":
        there = prompt_boxes(true, 0)[0] if true.n_frames else []
        if not there:
            raise MediaError(f"{video.item.id}: {NOTHING_TO_TRACK}")
        true, left_out = true.select(there), true.n_objects - len(there)
    true = merge_objects(true) if options.objects == "union_box" else true
    n_met = len(match.masks)
    lost = [frame for frame in range(n_met, true.n_frames) if true.frame(frame).any()]
    return ScoringInput(frames, take_frames(true, range(n_met)), match, take_frames(true, lost), left_out)


def check_source(
    video: EvalVideo, masks: MaskSequence, n_frames: int, fps: float, options: MaskMiouOptions
) -> GridMatch:
    """Match masks with the clip they come from, which may be longer. Raises MediaError: it is shorter."""
    match = match_frames(masks.n_frames, video.masks_fps, n_frames, fps)
    check_match(match._replace(n_unmatched=0), masks.n_frames, video.masks_fps, fps, options.align)
    return match
