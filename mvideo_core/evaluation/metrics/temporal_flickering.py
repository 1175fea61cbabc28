"""Temporal flickering (VBench): 1 - mean |f(t) - f(t+1)| / 255; 1 = no change between neighboring frames.

It reacts to any change, so VBench scores only prompts for static scenes, and first removes videos with motion. This
project has no such filter: compare only videos of the same prompts.
"""

from itertools import pairwise
from typing import Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.base import METRICS, Metric, VideoScore
from mvideo_core.evaluation.protocol import ProtocolOptions, score_by_protocol
from mvideo_core.evaluation.video import EvalVideo


class TemporalFlickeringOptions(ProtocolOptions):
    """Protocol only; the metric has no options."""

    clip_s: int = Field(default=2, ge=1, description="clip length in whole seconds for `long`; unused for `short`")


@METRICS.register("temporal_flickering")
class TemporalFlickering(Metric):
    """(255 - mean over neighbors of mean |f(t) - f(t+1)|) / 255, over 8-bit RGB."""

    Options = TemporalFlickeringOptions
    min_frames = 2
    license = "Apache-2.0 (own code, no weights)"

    def __init__(self, options: TemporalFlickeringOptions):
        self.options = options

    @classmethod
    def load(cls, options: TemporalFlickeringOptions, device: str = "cpu") -> Self:
        """Nothing to load; `device` is not used."""
        return cls(options)

    def score(self, video: EvalVideo) -> VideoScore:
        """Score in [0, 1]; `per_frame` has one number per pair of neighboring frames.

        Raises:
            MediaError: unreadable, or a single frame.
        """
        return score_by_protocol(video, self.options, measure_flickering)


def measure_flickering(frames_THWC: np.ndarray) -> VideoScore:
    """Score of uint8 frames (T, H, W, C), T > 1.

    Raises:
        MediaError: fewer than two frames.

    Source: vbench/temporal_flickering.py, Vchitect/VBench.
    """
    if len(frames_THWC) < 2:
        raise MediaError(f"temporal_flickering: {len(frames_THWC)} frame; at least 2 required")
    differences = [mean_difference(one, other) for one, other in pairwise(frames_THWC)]
    return VideoScore(
        value=1 - float(np.mean(differences)) / 255,
        per_frame=tuple(1 - difference / 255 for difference in differences),
        details={"n_frames": float(len(frames_THWC))},
    )


def mean_difference(one_HWC: np.ndarray, other_HWC: np.ndarray) -> float:
    """Mean absolute difference between two uint8 images, 0 to 255."""
    return float(np.abs(one_HWC.astype(np.int16) - other_HWC).mean(dtype=np.float64))
