"""VAE latents of training windows: target, masks, motion and appearance, each encoded separately.

A latent is the mean of the VAE's distribution, so nothing is random. The appearance frame is encoded alone because the
first latent of a longer encode is different (the VAE normalizes over time), and generation has only that one frame. For
the same reason, the target is not a slice of a longer encode.

Shape letters: K sloppy masks, T frames, F latent frames, C channels, H, W pixels, h, w latent sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mvideo_core.base.errors import ModelError
from mvideo_core.cogvideox.pixels import mask_CTHW, video_CTHW
from mvideo_core.cogvideox.video_format import TEMPORAL_STRIDE, VideoFormat
from mvideo_core.training.latents.sloppy import variant_names

if TYPE_CHECKING:
    import torch

TARGET, LOGVAR, MASK, APPEARANCE, MOTION = "target", "target_logvar", "mask", "appearance", "motion"
COVERAGE = "coverage"
COVERED = 255
"""Coverage of a cell whose pixels are all inside the mask."""


@dataclass(frozen=True, slots=True)
class WindowPixels:
    """The pixels that one window is encoded from, at the clip's size.

    Attributes:
        name: for messages.
        target_THWC: n frames, uint8 RGB; the first is the appearance frame.
        masks_THW: bool, union of the kept objects, on the target's frames.
        motion_THWC: the n frames up to the appearance frame; None without history.
        sloppy_THW: the sloppy masks, each like `masks_THW`.
    """

    name: str
    target_THWC: np.ndarray
    masks_THW: np.ndarray
    motion_THWC: np.ndarray | None
    sloppy_THW: Sequence[np.ndarray] = ()


def encode_windows(
    vae: Any,
    batch: Sequence[WindowPixels],
    video_format: VideoFormat,
    logvar: bool = False,
    coverage: bool = False,
) -> list[dict[str, "torch.Tensor"]]:
    """Unscaled latents of a list of windows: means of the VAE's distributions, so nothing is random.

    Args:
        vae: AutoencoderKLCogVideoX, in the dtype and on the device to work with.
        batch: windows encoded together, all with the same number of sloppy masks; history may differ.
        video_format: sizes to resize to.
        logvar: also return the log variance of the target.
        coverage: also return the coverage of the mask.

    Returns:
        For each window: "target", "mask" (F, C, h, w), "appearance" (1, C, h, w), "motion" (F, C, h', w') if it has
        history, "mask_sloppy0" and so on like "mask", and "target_logvar" if requested, all bfloat16 on the CPU;
        "coverage" (F, h, w), uint8, if requested.

    Raises:
        ModelError: a latent is not finite.
    """
    import torch

    size = (video_format.height_px, video_format.width_px)
    small = (video_format.motion_height_px, video_format.motion_width_px)
    device = next(vae.parameters()).device
    with torch.no_grad():
        target = [video_CTHW(one.target_THWC, *size, device) for one in batch]
        mask = [mask_CTHW(one.masks_THW, *size, device) for one in batch]
        motion = [video_CTHW(one.motion_THWC, *small, device) for one in batch if one.motion_THWC is not None]
        mean_BFChw, logvar_BFChw = _distribution(vae, target)
        found = {TARGET: mean_BFChw, MASK: _distribution(vae, mask)[0]}
        found[APPEARANCE] = _distribution(vae, [video[:, :1] for video in target])[0]
        if logvar:
            found[LOGVAR] = logvar_BFChw
        if coverage:
            found[COVERAGE] = torch.stack([cell_coverage(one, mean_BFChw.shape[-2:]) for one in mask])
        for variant, name in enumerate(variant_names(len(batch[0].sloppy_THW))):
            sloppy = [mask_CTHW(one.sloppy_THW[variant], *size, device) for one in batch]
            found[name] = _distribution(vae, sloppy)[0]
        motion_FChw = iter(_distribution(vae, motion)[0] if motion else ())
    results = []
    for index, one in enumerate(batch):
        tensors = {name: stacked[index].contiguous() for name, stacked in found.items()}
        if one.motion_THWC is not None:
            tensors[MOTION] = next(motion_FChw).contiguous()
        check_finite(tensors, one.name)
        results.append(tensors)
    return results


def cell_coverage(mask_CTHW: "torch.Tensor", cells: Sequence[int]) -> "torch.Tensor":
    """Share of each latent cell's pixels, over all its frames, that the mask covers, uint8 (F, h, w): 255 = all.

    Args:
        mask_CTHW: the VAE's input, -1 outside and 1 inside.
        cells: (h, w).
    """
    import torch
    import torch.nn.functional as F

    inside_THW = (mask_CTHW[0].cpu() > 0).double()
    of_frame_Thw = F.adaptive_avg_pool2d(inside_THW[None], (cells[0], cells[1]))[0]
    later_Fhw = of_frame_Thw[1:].unflatten(0, (-1, TEMPORAL_STRIDE)).mean(1)
    return (COVERED * torch.cat([of_frame_Thw[:1], later_Fhw])).round().to(torch.uint8)


def latent_shapes(video_format: VideoFormat, channels: int, stride_px: int) -> dict[str, tuple[int, int, int, int]]:
    """Shape of every latent that a window can have, by name.

    Args:
        channels: of the VAE's latents.
        stride_px: pixels per latent cell (`spatial_stride` of the VAE's config).
    """
    frames, side = video_format.latent_frames, stride_px
    large = (channels, video_format.height_px // side, video_format.width_px // side)
    small = (channels, video_format.motion_height_px // side, video_format.motion_width_px // side)
    return {TARGET: (frames, *large), LOGVAR: (frames, *large), MASK: (frames, *large), APPEARANCE: (1, *large),
            MOTION: (frames, *small)}  # fmt: skip


def check_finite(tensors: dict[str, "torch.Tensor"], where: str) -> None:
    """Raise if a tensor has NaN or infinity.

    Raises:
        ModelError: it does; half precision overflowed, or the weights are damaged.
    """
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ModelError(
                f"{where}: the {name} encoding is not finite; set base.dtype to bf16 or fp32, "
                "and check for damaged weights (`mvideo weights check --deep`)"
            )


def _distribution(vae: Any, videos: list["torch.Tensor"]) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Mean and log variance (B, F, C, h, w) of equally sized videos, bfloat16 on the CPU."""
    import torch

    found = vae.encode(torch.stack(videos).to(next(vae.parameters()).dtype)).latent_dist
    mean, logvar = (part.permute(0, 2, 1, 3, 4).to(torch.bfloat16).cpu() for part in (found.mean, found.logvar))
    return mean, logvar
