"""Mini smoothness: VBench's motion-smoothness loop with optical flow instead of an interpolation network.

A substitute for motion smoothness on the synthetic world; do not compare the two
([measured](docs/results/mini_metrics.md#mini_smoothness)). Every second frame is predicted from its two neighbors: both
are warped halfway along the optical flow between them (DIS, Kroeger et al. 2016, arXiv:1603.03590, in both directions),
and averaged. A score of 1 means predicted exactly. Like VBench's metric, this one rewards videos without motion. Unlike
AMT, it does not know what objects look like, so fast or occluding motion costs more. It was designed for 64x96 px,
where AMT-S gives no finite values, and works from 16 px up.
"""

from typing import Any, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.base import METRICS, Metric, VideoScore
from mvideo_core.evaluation.metrics.temporal_flickering import mean_difference
from mvideo_core.evaluation.protocol import ProtocolOptions, score_by_protocol
from mvideo_core.evaluation.video import EvalVideo

MIN_SIDE_PX = 16
FLOW_SIDE_PX = 128
"""Minimum short side for flow estimation; DIS, with 8-px patches, finds little at 64 px."""


class MiniSmoothnessOptions(ProtocolOptions):
    """Protocol only; the interpolator has no options."""

    clip_s: int = Field(default=2, ge=1, description="clip length in whole seconds for `long`; unused for `short`")


@METRICS.register("mini_smoothness")
class MiniSmoothness(Metric):
    """(255 - mean over predicted frames of mean |frame - prediction|) / 255, over 8-bit RGB; in [0, 1]."""

    Options = MiniSmoothnessOptions
    min_side_px = MIN_SIDE_PX
    min_frames = 3
    license = "Apache-2.0 (own code, no weights)"

    def __init__(self, options: MiniSmoothnessOptions):
        self.options = options

    @classmethod
    def load(cls, options: MiniSmoothnessOptions, device: str = "cpu") -> Self:
        """Nothing to load; `device` is not used."""
        return cls(options)

    def score(self, video: EvalVideo) -> VideoScore:
        """Score in [0, 1]; `per_frame` has one number per predicted frame (1, 3, 5, ...).

        Raises:
            MediaError: unreadable, fewer than 3 frames, or a side below 16 px.
        """
        return score_by_protocol(video, self.options, flow_smoothness)


def flow_smoothness(frames_THWC: np.ndarray) -> VideoScore:
    """Score of uint8 frames (T, H, W, 3), T > 2.

    Raises:
        MediaError: fewer than 3 frames, or a side below 16 px.

    Source: the loop of vbench/motion_smoothness.py, Vchitect/VBench; the network is different.
    """
    n_frames, height, width = frames_THWC.shape[:3]
    if n_frames < 3:
        raise MediaError(f"mini_smoothness: {n_frames} frames; at least 3 required (before, predicted, after)")
    if min(height, width) < MIN_SIDE_PX:
        raise MediaError(f"mini_smoothness: {height} x {width} px; both sides need at least {MIN_SIDE_PX} px")
    differences = [
        mean_difference(frames_THWC[i], interpolate(frames_THWC[i - 1], frames_THWC[i + 1]))
        for i in range(1, n_frames - 1, 2)
    ]
    return VideoScore(
        value=1 - float(np.mean(differences)) / 255,
        per_frame=tuple(1 - difference / 255 for difference in differences),
        details={"n_frames": float(n_frames)},
    )


def interpolate(one_HWC: np.ndarray, other_HWC: np.ndarray) -> np.ndarray:
    """The frame halfway between two, uint8 (H, W, 3), truncated (not rounded) to 8 bits, as in VBench.

    Flow at the midpoint combines both directions: a quarter of (forward - backward), as in Jiang et al. 2018
    (Super SloMo, arXiv:1712.00080, eq. 4, at t = 0.5).
    """
    import cv2

    there_HW2, back_HW2 = flow(one_HWC, other_HWC), flow(other_HWC, one_HWC)
    to_other_HW2 = 0.25 * (there_HW2 - back_HW2)
    rows, columns = np.indices(one_HWC.shape[:2], np.float32)
    warped = [
        cv2.remap(
            image.astype(np.float32), columns + step[..., 0], rows + step[..., 1], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for image, step in ((one_HWC, -to_other_HW2), (other_HWC, to_other_HW2))
    ]  # fmt: skip
    middle: np.ndarray = ((warped[0] + warped[1]) / 2).clip(0, 255).astype(np.uint8)
    return middle


def flow(one_HWC: np.ndarray, other_HWC: np.ndarray) -> np.ndarray:
    """Dense flow from one frame to the other in pixels (x, y), float32 (H, W, 2); small frames are upscaled first."""
    import cv2

    height, width = one_HWC.shape[:2]
    times = max(1, -(-FLOW_SIDE_PX // min(height, width)))
    size = (width * times, height * times)
    gray = [
        cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_CUBIC)
        for image in (one_HWC, other_HWC)
    ]
    estimator: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = estimator.calc(gray[0], gray[1], None)
    if times > 1:
        found = cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA) / times
    return np.asarray(found, np.float32)
