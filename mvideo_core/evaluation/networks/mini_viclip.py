"""Input of the mini ViCLIP: whole frames squeezed to its square; the public recipe crops the center instead."""

from typing import TYPE_CHECKING

import numpy as np

from mvideo_core.evaluation.metrics.overall_consistency import CLIP_MEAN, CLIP_STD

if TYPE_CHECKING:
    from torch import Tensor


def whole_frames(frames_THWC: np.ndarray, side_px: int, device: str = "cpu") -> "Tensor":
    """uint8 (T, H, W, 3) to the network's input (T, 3, side, side)."""
    return clip_norm(square_frames(frames_THWC, side_px).to(device))


def square_frames(frames_THWC: np.ndarray, side_px: int) -> "Tensor":
    """uint8 (T, H, W, 3) to uint8 (T, 3, side, side): bilinear with antialiasing, each axis separately.

    Nothing is cropped: at 64x96 px a center crop would lose a third of the frame.
    """
    import torch
    from torch.nn import functional

    images = torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2)
    size = (side_px, side_px)
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True).contiguous()


def clip_norm(video_TCHW: "Tensor") -> "Tensor":
    """8-bit frames (..., 3, H, W) as floats normalized with CLIP's mean and standard deviation."""
    import torch

    mean, std = (torch.tensor(values, device=video_TCHW.device).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return (video_TCHW / 255 - mean) / std
