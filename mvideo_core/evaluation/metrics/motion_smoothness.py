"""Motion smoothness (VBench): every second frame is predicted from its neighbors; 1 = predicted exactly.

The network, AMT-S, predicts frames 1, 3, 5, ...; the score is 1 - mean |difference| / 255. A still video scores about
1, so read the score together with a measure of motion. Videos with a side below 113 px are refused, because AMT-S
returns non-finite values for them.

AMT-S is licensed CC BY-NC 4.0 (noncommercial use only) and therefore not part of this project: its code is loaded from
an installed `vbench` package. `vbench` requires a version of transformers that this project cannot use, hence
`--no-deps`; only AMT's files are read from it.

    pip install --no-deps vbench==0.1.5
    mvideo weights fetch amt-s
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.base import METRICS, Metric, VideoScore
from mvideo_core.evaluation.metrics.temporal_flickering import mean_difference
from mvideo_core.evaluation.protocol import ProtocolOptions, score_by_protocol
from mvideo_core.evaluation.video import EvalVideo

MULTIPLE_PX = 16
MIN_SIDE_PX = 113
"""Padded sides below 128 px shrink to one pixel inside AMT-S, which then returns non-finite values."""


class MotionSmoothnessOptions(ProtocolOptions):
    """Weights and protocol."""

    weights: str = Field(default="amt-s", description="catalog name or model folder")
    clip_s: int = Field(default=2, ge=1, description="clip length in whole seconds for `long`; unused for `short`")


@METRICS.register("motion_smoothness")
class MotionSmoothness(Metric):
    """(255 - mean over predicted frames of mean |frame - prediction|) / 255, over 8-bit RGB."""

    Options = MotionSmoothnessOptions
    min_side_px = MIN_SIDE_PX
    min_frames = 3
    license = "CC BY-NC 4.0 (AMT network and weights): noncommercial use only"

    def __init__(
        self,
        options: MotionSmoothnessOptions,
        network: Callable[..., Any],
        device: str,
        weights_sha256: str,
        min_side_px: int = MIN_SIDE_PX,
    ):
        self.options = options
        self.network = network
        self.device = device
        self.weights_sha256 = weights_sha256
        self.min_side_px = min_side_px

    @classmethod
    def load(cls, options: MotionSmoothnessOptions, device: str = "cpu") -> Self:
        """Load the metric with AMT-S.

        Raises:
            ModelError: the vbench package or the weights are missing or do not fit.
        """
        from mvideo_core.base.digests import file_sha256
        from mvideo_core.evaluation.networks.amt import amt_s
        from mvideo_core.evaluation.networks.checkpoint import load_strictly, only_file, read_checkpoint
        from mvideo_core.weights import find

        network = amt_s()
        path = only_file(find(options.weights, kind="metric"), ("*.pth", "*.safetensors"))
        load_strictly(network, read_checkpoint(path, "" if path.suffix == ".safetensors" else "state_dict"), path)
        return cls(options, network.to(device).eval(), device, file_sha256(path))

    def score(self, video: EvalVideo) -> VideoScore:
        """Score in [0, 1]; `per_frame` has one number per predicted frame (1, 3, 5, ...).

        Raises:
            MediaError: unreadable, fewer than 3 frames, or a side too small for the network.
        """
        return score_by_protocol(video, self.options, self._smoothness)

    def _smoothness(self, frames_THWC: np.ndarray) -> VideoScore:
        n_frames, height, width = frames_THWC.shape[:3]
        if n_frames < 3:
            raise MediaError(f"motion_smoothness: {n_frames} frames; at least 3 required (before, predicted, after)")
        if min(height, width) < self.min_side_px:
            raise MediaError(
                f"motion_smoothness: {height} x {width} px; AMT-S needs at least {self.min_side_px} px on both sides"
            )
        differences = [
            mean_difference(frames_THWC[i], self._interpolate(frames_THWC[i - 1], frames_THWC[i + 1]))
            for i in range(1, n_frames - 1, 2)
        ]
        return VideoScore(
            value=1 - float(np.mean(differences)) / 255,
            per_frame=tuple(1 - difference / 255 for difference in differences),
            details={"n_frames": float(n_frames)},
        )

    def _interpolate(self, one_HWC: np.ndarray, other_HWC: np.ndarray) -> np.ndarray:
        """The network's frame halfway between two, uint8 (H, W, 3), truncated (not rounded) to 8 bits, as in VBench."""
        import torch
        from torch.nn import functional

        height, width = one_HWC.shape[:2]
        top, bottom = _compute_padding(height)
        left, right = _compute_padding(width)
        pair = np.ascontiguousarray(np.stack([one_HWC, other_HWC]))
        with torch.inference_mode():
            images = torch.from_numpy(pair).to(self.device).permute(0, 3, 1, 2) / 255.0
            one, other = functional.pad(images, (left, right, top, bottom), mode="replicate").split(1)
            middle = torch.full((1, 1, 1, 1), 0.5, device=self.device)
            predicted = self.network(one, other, middle, scale_factor=1.0, eval=True)["imgt_pred"]
        image_HWC = predicted[0, :, top : top + height, left : left + width].permute(1, 2, 0).cpu().numpy() * 255
        if not np.isfinite(image_HWC).all():
            raise MediaError(f"motion_smoothness: AMT-S returned non-finite values for {height} x {width} px")
        return image_HWC.clip(0, 255).astype(np.uint8)


def _compute_padding(length: int) -> tuple[int, int]:
    """Padding before and after that makes a side a multiple of 16; an odd pixel is added after."""
    missing = -length % MULTIPLE_PX
    return missing // 2, missing - missing // 2
