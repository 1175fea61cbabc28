"""Mini imaging: quality of single frames, scored by a small network trained on frames of the mini world with known
degradations (blur, noise, JPEG blocks, the smear of a small VAE).

A substitute for imaging quality on the synthetic world: 1 means as clean as the world's own frames at 64 px, and 0
means degraded. It does not predict human preference, so do not compare it with MUSIQ's scores
([measured](docs/results/mini_metrics.md#mini_imaging)). It ignores content: a sharp image of nonsense scores well.
"""

from typing import Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.base import METRICS, Metric, VideoScore
from mvideo_core.evaluation.networks.frame_quality import MIN_SIDE_PX, QualityWeights, features
from mvideo_core.evaluation.protocol import ProtocolOptions, score_by_protocol
from mvideo_core.evaluation.video import EvalVideo


class MiniImagingOptions(ProtocolOptions):
    """Weights and protocol."""

    weights: str = Field(default="imaging-mini", description="catalog name or model folder")
    clip_s: int = Field(default=10, ge=1, description="clip length in whole seconds for `long`; unused for `short`")


@METRICS.register("mini_imaging")
class MiniImaging(Metric):
    """Mean over frames of 1 - degradation, in [0, 1]; 1 = as the world renders it."""

    Options = MiniImagingOptions
    min_side_px = MIN_SIDE_PX
    license = "Apache-2.0 (code and weights)"

    def __init__(self, options: MiniImagingOptions, weights: QualityWeights, weights_sha256: str):
        self.options = options
        self.weights = weights
        self.weights_sha256 = weights_sha256

    @classmethod
    def load(cls, options: MiniImagingOptions, device: str = "cpu") -> Self:
        """Load the metric with weights from disk; `device` is not used.

        Raises:
            ModelError: weights missing or incompatible.
        """
        from mvideo_core.base.digests import file_sha256
        from mvideo_core.weights import find

        path = find(options.weights, kind="metric") / "model.safetensors"
        return cls(options, QualityWeights.read(path), file_sha256(path))

    def score(self, video: EvalVideo) -> VideoScore:
        """Score in [0, 1]; `per_frame` has one score per frame.

        Raises:
            MediaError: unreadable, or a side below 32 px.
        """
        return score_by_protocol(video, self.options, self._quality)

    def _quality(self, frames_THWC: np.ndarray) -> VideoScore:
        height, width = frames_THWC.shape[1:3]
        if min(height, width) < MIN_SIDE_PX:
            raise MediaError(f"mini_imaging: {height} x {width} px; both sides need at least {MIN_SIDE_PX} px")
        values = tuple(self.weights.quality(features(frame)) for frame in frames_THWC)
        return VideoScore(value=float(np.mean(values)), per_frame=values, details={"n_frames": float(len(frames_THWC))})
