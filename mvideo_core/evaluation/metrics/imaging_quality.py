"""Imaging quality (VBench): the frames' mean score by MUSIQ, trained on SPAQ; low for noise, blur and bad exposure.

The score is between 0 and 100. In VBench's JSON format, it is 0 to 100 per video and 0 to 1 in the aggregate. It
reflects neither motion nor content: a sharp picture of the wrong thing scores well.

MUSIQ's network comes from pyiqa, which is licensed for noncommercial use only and therefore not a dependency of this
project:

    pip install "mvideo[imaging]"
    mvideo weights fetch musiq-spaq
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ModelError
from mvideo_core.evaluation.base import METRICS, Metric, VideoScore
from mvideo_core.evaluation.protocol import ProtocolOptions, score_by_protocol
from mvideo_core.evaluation.video import EvalVideo

if TYPE_CHECKING:
    from torch import Tensor

Resizing = Literal["longer", "shorter", "shorter_centercrop", "none"]
SIDE_PX = 512
INSTALL = 'pip install "mvideo[imaging]"  (or, without its many dependencies: pip install --no-deps pyiqa==0.1.16)'


class ImagingQualityOptions(ProtocolOptions):
    """Weights, protocol, and how large frames are downscaled."""

    weights: str = Field(default="musiq-spaq", description="catalog name or model folder")
    resizing: Resizing = Field(
        default="longer",
        description="frames whose longer (or shorter) side exceeds 512 px are resized to 512 px; VBench: longer",
    )
    clip_s: int = Field(default=10, ge=1, description="clip length in whole seconds for `long`; unused for `short`")


@METRICS.register("imaging_quality")
class ImagingQuality(Metric):
    """Mean over frames, 0 to 100 as in the paper's tables. VBench's JSON divides the mean over videos by 100."""

    Options = ImagingQualityOptions
    scale = 1.0
    license = "PolyForm Noncommercial 1.0.0 (pyiqa, MUSIQ weights): noncommercial use only"

    def __init__(self, options: ImagingQualityOptions, network: Callable[["Tensor"], Any], device: str, sha256: str):
        self.options = options
        self.network = network
        self.device = device
        self.weights_sha256 = sha256

    @classmethod
    def load(cls, options: ImagingQualityOptions, device: str = "cpu") -> Self:
        """Load the metric with MUSIQ.

        Raises:
            ModelError: pyiqa or the weights are missing or do not fit.
        """
        from mvideo_core.base.digests import file_sha256
        from mvideo_core.evaluation.networks.checkpoint import load_strictly, only_file, read_checkpoint
        from mvideo_core.weights import find

        network = musiq()
        path = only_file(find(options.weights, kind="metric"), ("*.pth", "*.safetensors"))
        load_strictly(network, read_checkpoint(path), path)
        return cls(options, network.to(device).eval(), device, file_sha256(path))

    def score(self, video: EvalVideo) -> VideoScore:
        """Mean of the frames' scores, 0 to 100; `per_frame` has them. Raises MediaError: unreadable."""
        return score_by_protocol(video, self.options, self._mean)

    def _mean(self, frames_THWC: np.ndarray) -> VideoScore:
        import torch

        with torch.inference_mode():
            seen = [self.network(shrink(frame, self.options.resizing, self.device)) for frame in frames_THWC]
            scores = torch.stack([score.reshape(()) for score in seen]).tolist()  # one GPU sync
        return VideoScore(
            value=float(np.mean(scores)), per_frame=tuple(scores), details={"n_frames": float(len(frames_THWC))}
        )


def musiq(**sizes: Any) -> Any:
    """pyiqa's MUSIQ with random weights.

    Args:
        sizes: its keyword arguments, for small networks.

    Raises:
        ModelError: pyiqa or one of its dependencies is not installed.
    """
    try:
        from pyiqa.archs.musiq_arch import MUSIQ
    except ImportError as error:
        raise ModelError(
            f"imaging_quality needs MUSIQ's network from pyiqa ({error}); {INSTALL}, then `mvideo weights "
            "fetch musiq-spaq`. pyiqa and its weights are for noncommercial use only (PolyForm Noncommercial 1.0.0)"
        ) from None
    return MUSIQ(pretrained=False, **sizes)


def shrink(frame_HWC: np.ndarray, mode: Resizing, device: str = "cpu") -> "Tensor":
    """Float image (1, 3, h, w) in [0, 1], downscaled bilinearly without antialiasing; not upscaled.

    Sizes are truncated, not rounded: 480 x 720 becomes 341 x 512. `shorter_centercrop` then crops 512 x 512.

    Source: transform of vbench/imaging_quality.py, Vchitect/VBench, with torchvision's Resize and CenterCrop.
    """
    import torch
    from torch.nn import functional

    image = torch.from_numpy(np.ascontiguousarray(frame_HWC)).to(device)[None].permute(0, 3, 1, 2).float()
    height, width = image.shape[-2:]
    side = max(height, width) if mode == "longer" else min(height, width)
    if mode == "none" or side <= SIDE_PX:
        return image / 255
    scale = SIDE_PX / side
    size = (int(scale * height), int(scale * width))
    image = functional.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=False)
    if mode == "shorter_centercrop":
        top, left = (round((length - SIDE_PX) / 2) for length in size)
        image = image[..., top : top + SIDE_PX, left : left + SIDE_PX]
    return image / 255
