"""Drops clips in which nothing moves. Camera motion does not count: a pan over a still scene is dropped."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.filters import CLIP_FILTERS, ClipFilter, Verdict, at_least
from mvideo_core.curation.filters.samples import ClipSamples
from mvideo_core.media.camera import camera_of

_FASTEST = 95.0
"""Percentile of the speeds in a frame: a thing that covers a twentieth of the picture is seen."""


class MotionOptions(Options):
    """Limit of the motion filter."""

    min_speed: float = Field(
        default=0.05,
        ge=0,
        description="minimum speed of the fastest twentieth of the picture relative to the camera, "
        "picture heights per second; higher drops more",
    )


@CLIP_FILTERS.register("motion")
class Motion(ClipFilter):
    """Camera from tracked corners (similarity transform, RANSAC); the rest of a dense flow is the motion of things."""

    Options = MotionOptions
    title: ClassVar[str] = "Motion relative to the camera"
    unit: ClassVar[str] = "heights/s"
    high: ClassVar[float] = 1.0
    options: MotionOptions

    def measure(self, clip: ClipSamples) -> float:
        """Mean over the samples of the 95th percentile of speed, picture heights per second."""
        pairs = zip(clip.small_Nhw, clip.next_Nhw, strict=True)
        speeds = [_measure_fastest(before, after) for before, after in pairs]
        return float(np.mean(speeds)) / clip.small_Nhw.shape[1] * clip.fps

    def judge(self, value: float) -> Verdict:
        """Clips in which nothing moves by itself are dropped."""
        return at_least(value, self.options.min_speed)


def _measure_fastest(before: np.ndarray, after: np.ndarray) -> float:
    """95th percentile of the flow that the camera does not explain, pixels."""
    import cv2

    height, width = before.shape
    camera = camera_of(before, after)
    follow = cv2.warpAffine(before, camera, (width, height), borderMode=cv2.BORDER_REFLECT)
    inside = cv2.warpAffine(np.full_like(before, 255), camera, (width, height)) == 255
    inside = cv2.erode(inside.astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=0) > 0
    flow = np.zeros((height, width, 2), np.float32)
    flow = np.asarray(cv2.calcOpticalFlowFarneback(follow, after, flow, 0.5, 3, 15, 3, 5, 1.1, 0))
    speed = np.hypot(flow[..., 0], flow[..., 1])[inside]
    return float(np.percentile(speed, _FASTEST)) if speed.size else 0.0
