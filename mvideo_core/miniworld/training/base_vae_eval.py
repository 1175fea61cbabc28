"""Evaluate and export the mini VAE: PSNR on held-out clips, unit-variance latents, the folder on disk.

Legend: B batch, C channels, T frames, F latent frames, H, W.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mvideo_core.base.cpu_kernels import half_precision_advice
from mvideo_core.base.disk import new_folder, obey_umask
from mvideo_core.miniworld.training.base_data import Clips
from mvideo_core.miniworld.training.base_vae import mask_frames, to_frames, to_video


def psnr(shown: np.ndarray, true: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 arrays, dB; infinite if they are equal."""
    mse = float(np.square(shown.astype(np.float64) - true).mean())
    return math.inf if mse == 0 else 10 * math.log10(255**2 / mse)


def measure(vae: Any, clips: Clips, sheet: Path | None = None, n_windows: int = 48) -> dict[str, float]:
    """Reconstruction quality using the latents' mode.

    Returns:
        psnr_db, psnr_low_db (mean and tenth percentile over windows of 17 frames), still_db (single frames), mask_iou
        (mask videos thresholded at middle gray), half_mask_iou (the same at half size).

    Args:
        sheet: PNG to write with a few originals and reconstructions.
    """
    indices = np.linspace(0, len(clips) - 1, min(n_windows, len(clips))).astype(int)
    scores, stills, ious, halves, rows = [], [], [], [], []
    for index in map(int, indices):
        frames, masks = np.asarray(clips[index]), clips.masks(index)
        shown = there_and_back(vae, to_video(frames[None]))
        scores.append(psnr(shown, frames[None]))
        stills.append(psnr(there_and_back(vae, to_video(frames[None, :1])), frames[None, :1]))
        white = to_video(mask_frames(masks)[None])
        ious.append(_iou(there_and_back(vae, white), masks))
        small = F.interpolate(white, scale_factor=(1.0, 0.5, 0.5))
        halves.append(_iou(there_and_back(vae, small), to_frames(small)[0, ..., 0] > 127))
        rows.append(np.concatenate([frames[::4], shown[0, ::4]], axis=1))
    if sheet is not None:
        _write_sheet(sheet, rows[:: max(1, len(rows) // 8)][:8])
    return {
        "psnr_db": round(float(np.mean(scores)), 2), "psnr_low_db": round(float(np.percentile(scores, 10)), 2),
        "still_db": round(float(np.mean(stills)), 2), "mask_iou": round(float(np.nanmean(ious)), 4),
        "half_mask_iou": round(float(np.nanmean(halves)), 4),
    }  # fmt: skip


def latent_statistics(vae: Any, clips: Clips, n_windows: int = 192) -> tuple[Tensor, Tensor]:
    """(mean, standard deviation) per channel of the latents' mode over evenly spaced windows."""
    indices = np.linspace(0, len(clips) - 1, min(n_windows, len(clips))).astype(int)
    latents = [encode_mode(vae, to_video(np.asarray(clips[int(index)])[None])) for index in indices]
    values_CK = torch.cat(latents).transpose(0, 1).flatten(1)
    return values_CK.mean(dim=1), values_CK.std(dim=1)


def encode_mode(vae: Any, video: Tensor) -> Tensor:
    """Latents (B, C, F, h, w) fp32 on CPU: the distribution's mode, computed with `_precision`."""
    device = next(vae.parameters()).device
    with torch.no_grad(), _precision(device):
        return vae.encode(video.to(device)).latent_dist.mode().float().cpu()


def equalize(vae: Any, std_C: Tensor) -> None:
    """Rescale the latent channels to unit variance in the weights; reconstructions do not change.

    diffusers' pipeline has one scaling factor for all channels. Dividing the encoder's last layer by a channel's spread
    and multiplying the decoder's input weights for that channel is exact: both are linear in the latents.
    """
    from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXSpatialNorm3D

    n = len(std_C)
    std_C = std_C.to(next(vae.parameters()).device)
    readers = [vae.decoder.conv_in.conv]
    for module in vae.decoder.modules():
        if isinstance(module, CogVideoXSpatialNorm3D):
            readers += [module.conv_y.conv, module.conv_b.conv]
    with torch.no_grad():
        last = vae.encoder.conv_out.conv
        last.weight[:n] /= std_C.view(-1, 1, 1, 1, 1)
        last.bias[:n] /= std_C
        last.bias[n:] -= 2 * std_C.log()
        for conv in readers:
            conv.weight *= std_C.view(1, -1, 1, 1, 1)


def export(vae: Any, clips: Clips, folder: Path, equal: bool) -> dict[str, Any]:
    """Set the scaling factor from the measured spread, write fp16.

    Args:
        equal: equalize the channels first, as a trained encoder needs.

    Returns:
        The statistics used.
    """
    mean_C, std_C = latent_statistics(vae, clips)
    found = {"std": _round_all(std_C), "mean": _round_all(mean_C)}
    if equal:
        equalize(vae, std_C)
        mean_C, std_C = mean_C / std_C, torch.ones_like(std_C)
    spread = float((std_C.square() + mean_C.square()).mean().sqrt())  # RMS around zero
    vae.register_to_config(scaling_factor=round(1 / spread, 4))
    with new_folder(folder, replace=True) as part:
        vae.to(torch.float16).save_pretrained(part)
        obey_umask(part)
    return {"scaling_factor": vae.config.scaling_factor} | found


def _precision(device: torch.device) -> torch.autocast:
    """bf16, except on a CPU without native bf16, where fp32 is five times faster."""
    fast = device.type != "cpu" or not half_precision_advice("bf16")
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def _round_all(values: Tensor) -> list[float]:
    return [round(float(value), 3) for value in values]


def there_and_back(vae: Any, video: Tensor) -> np.ndarray:
    """Encode (mode) and decode a video (B, 3, T, H, W) in [-1, 1]; returns uint8 frames (B, T, H, W, 3)."""
    device = next(vae.parameters()).device
    latents = encode_mode(vae, video).to(device)
    with torch.no_grad(), _precision(device):
        return to_frames(vae.decode(latents).sample)


def _iou(shown: np.ndarray, masks_THW: np.ndarray) -> float:
    seen = shown[0].mean(axis=-1) > 127
    union = (seen | masks_THW).sum()
    return float((seen & masks_THW).sum() / union) if union else math.nan


def _write_sheet(path: Path, rows: list[np.ndarray]) -> None:
    """Write originals above reconstructions, every fourth frame, at double size."""
    from PIL import Image

    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    image = Image.fromarray(sheet)
    image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST).save(path)
