"""Whether a video follows its masks: how it changes when they are edited, compared with what the edits request.

S_m measures whether objects are where the masks place them. A video that would look the same without masks can still
score well, because the model saw the clip in training or because the prompt gives enough away. This metric compares the
videos generated from edited masks with the video generated from the original masks: 0 = ignores its masks, 1 = follows
them. The details have gain, lag, leakage, identity, outlines and mIoU; docs/reference/control.md defines these numbers
and the edits.

Start with `mvideo eval interventions`; docs/evaluation.md#control has all steps.
"""

from typing import Any, Literal, Self

from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.base import METRICS, Metric, VideoScore
from mvideo_core.evaluation.control.judges import judge_silhouettes, judge_tracks
from mvideo_core.evaluation.control.score import score_control
from mvideo_core.evaluation.failed_videos import absence_of
from mvideo_core.evaluation.segmenter_options import SegmenterOptions
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.perception.segmentation import Segmenter


class ControlResponseOptions(SegmenterOptions):
    """Who finds the objects in the videos."""

    judge: Literal["segmenter", "silhouettes"] = Field(
        default="segmenter",
        description="segmenter = tracks from the first frame's boxes; silhouettes = the manifest's `seen_masks`, for "
        "synthetic videos or masks of your own tracker",
    )


@METRICS.register("control_response")
class ControlResponse(Metric):
    """The control score with the masks of a segmenter, or with the manifest's (`segmenter` None)."""

    Options = ControlResponseOptions
    needs = frozenset({"masks", "interventions"})
    license = "code Apache-2.0; SAM2 code and weights Apache-2.0"

    def __init__(self, segmenter: Segmenter | None, options: ControlResponseOptions):
        self.options = options
        self.segmenter = segmenter
        self.weights_sha256 = segmenter.weights_sha256 if segmenter is not None else ""

    @classmethod
    def uses_mini_network(cls, options: Any) -> bool:
        """Whether the segmenter is smaller than every public one."""
        return options.judge == "segmenter" and bool(options.is_mini())

    @classmethod
    def load(cls, options: Any, device: str = "cpu") -> Self:
        """Load the metric with weights from disk.

        Raises:
            ModelError: weights absent. ConfigError: no such segmenter, or it lacks one of the options.
        """
        return cls(None if options.judge == "silhouettes" else options.load_segmenter(device), options)

    def score(self, video: EvalVideo) -> VideoScore:
        """The control score of one item; details as `score_control` gives them.

        Raises:
            MediaError: a video or masks of an intervention are missing or do not fit, or an edit requests nothing.
        """
        for one in video.item.interventions:
            if (absence := absence_of(one.video)) is not None:
                raise MediaError(f"{video.item.id}: edit {one.edit!r}: {absence.why}")
        if self.segmenter is None:
            judged = judge_silhouettes(video, self.options.fit)
        else:
            judged = judge_tracks(video, self.segmenter, self.options.fit)
        try:
            value, details = score_control(
                judged.base, judged.edits, judged.fps, judged.dropped, judged.source, judged.unknown
            )
        except MediaError as error:
            raise MediaError(f"{video.item.id}: {error}") from None
        return VideoScore(value=value, details=details)
