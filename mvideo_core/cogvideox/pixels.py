"""Frames and masks to and from VAE input: [-1, 1], three channels, the format's size.

Shape letters: B batch, T frames, C channels, H, W.
"""

from typing import TYPE_CHECKING

import numpy as np

from mvideo_core.base.errors import ModelError

if TYPE_CHECKING:
    import torch

WHITE, BLACK = 1.0, -1.0


def check_finite(values: "torch.Tensor", where: str) -> None:
    """Raise at NaN or infinity.

    Args:
        where: source of the values; starts the message.

    Raises:
        ModelError: some are not finite.
    """
    if not bool(values.isfinite().all()):
        raise ModelError(
            f"{where} non-finite values (NaN or infinity); the weights are damaged or too large for their "
            "dtype: run `mvideo weights check --deep` on the base, check the adapter, or set dtype to fp32 or bf16"
        )


def check_not_blank(frames_THWC: np.ndarray, what: str) -> None:
    """Raise if all frames have a single color.

    Raises:
        ModelError: every pixel of every frame (T, H, W, 3) is the same.
    """
    if frames_THWC.size and not (frames_THWC != frames_THWC[0, 0, 0]).any():
        color = tuple(int(value) for value in frames_THWC[0, 0, 0])
        raise ModelError(
            f"{what}: every pixel of {len(frames_THWC)} frames is the color {color}, so nothing was generated; run "
            "`mvideo weights check --deep` on the base, check the adapter, or lower guidance and mask_guidance"
        )


def video_CTHW(
    frames_THWC: np.ndarray, height: int, width: int, device: "torch.device | str" = "cpu"
) -> "torch.Tensor":
    """Frames as VAE input, float32 in [-1, 1]; resized if needed, antialiased bilinear.

    Args:
        frames_THWC: uint8 RGB.
    """
    import torch
    import torch.nn.functional as F

    frames_TCHW = torch.from_numpy(np.ascontiguousarray(frames_THWC)).to(device).permute(0, 3, 1, 2).float()
    if frames_TCHW.shape[-2:] != (height, width):
        frames_TCHW = F.interpolate(frames_TCHW, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return (frames_TCHW.clamp_(0, 255) / 127.5 - 1).permute(1, 0, 2, 3).contiguous()


def mask_CTHW(masks_THW: np.ndarray, height: int, width: int, device: "torch.device | str" = "cpu") -> "torch.Tensor":
    """Masks as VAE input: white on black, three equal channels, float32.

    After resizing, a pixel is white if the mask covers at least half of its area.

    Args:
        masks_THW: bool, or numbers that are above 0 inside; union of the objects.
    """
    import torch
    import torch.nn.functional as F

    masks_T1HW = torch.from_numpy(np.ascontiguousarray(masks_THW) > 0).to(device)[:, None].float()
    if masks_T1HW.shape[-2:] != (height, width):
        masks_T1HW = (F.interpolate(masks_T1HW, (height, width), mode="area") >= 0.5).float()
    video_T1HW = masks_T1HW * (WHITE - BLACK) + BLACK
    return video_T1HW.permute(1, 0, 2, 3).expand(3, -1, -1, -1).contiguous()


def frames_THWC(video_CTHW: "torch.Tensor") -> np.ndarray:
    """VAE output in [-1, 1] as uint8 RGB frames (T, H, W, 3); values outside are clipped.

    Raises:
        ModelError: NaN or infinity, which uint8 would turn black.
    """
    import torch

    check_finite(video_CTHW, "the VAE's decoder gave")
    scaled = ((video_CTHW.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return scaled.permute(1, 2, 3, 0).cpu().numpy()
