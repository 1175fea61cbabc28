"""Start a mini base's transformer and text encoder from those of another base whose VAE is different.

Both must have the same width, layers and text encoder, and tokens that cover the same pixels. Every weight is copied
except the two layers that read and write latents. Those are translated by linear maps between the two VAEs' latents,
fitted to the same clips: the new input layer is the old one after a map from new tokens to old ones, and the new output
layer is a map from old tokens to new ones after the old one.

Legend: N samples, F latent frames, C channels, h, w latent sides, K numbers per token.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.base import BaseOptions, load_base
from mvideo_core.miniworld.training.base_data import Clips
from mvideo_core.miniworld.training.base_vae import to_video
from mvideo_core.miniworld.training.base_vae_eval import encode_mode

N_WINDOWS = 200
READING, WRITING = "patch_embed.proj", "proj_out"
"""Layers that depend on the VAE."""


class LinearMap(NamedTuple):
    """y = weight x + bias."""

    weight_OI: Tensor
    bias_O: Tensor


@torch.no_grad()
def warm_start(transformer: Any, text_encoder: Any, vae: Any, folder: str, clips: Clips) -> None:
    """Copy the weights of the pipeline folder `folder` into both networks, in place.

    Args:
        vae: the VAE that the networks will work with.
        folder: pipeline folder or name of the old base.
        clips: any clips; the first N_WINDOWS are used.

    Raises:
        ModelError: no such base. ConfigError: its networks have other sizes.
    """
    from mvideo_core.cogvideox.fun_control import plain

    old = load_base(BaseOptions(weights=folder, dtype="fp32"))
    before = plain(old.transformer)  # type: ignore[arg-type]
    _copy(text_encoder, old.text_encoder.state_dict(), folder)
    windows = [np.asarray(clips[index]) for index in range(0, len(clips), max(1, len(clips) // N_WINDOWS))]
    old_NK, new_NK = (
        torch.cat([tokens(latents_of(one, window), net.config.patch_size) for window in windows])
        for one, net in ((old.vae, before), (vae, transformer))
    )
    weights = before.state_dict()
    reading, writing = fit(new_NK, old_NK), fit(old_NK, new_NK)
    into, out_of = weights[f"{READING}.weight"].flatten(1), weights[f"{WRITING}.weight"]
    weights[f"{READING}.weight"] = (into @ reading.weight_OI).view_as(transformer.patch_embed.proj.weight)
    weights[f"{READING}.bias"] = into @ reading.bias_O + weights[f"{READING}.bias"]
    weights[f"{WRITING}.weight"] = writing.weight_OI @ out_of
    weights[f"{WRITING}.bias"] = writing.weight_OI @ weights[f"{WRITING}.bias"]
    _copy(transformer, weights, folder)


def latents_of(vae: Any, window_THWC: np.ndarray) -> Tensor:
    """(F, C, h, w), multiplied by the VAE's scaling factor."""
    return encode_mode(vae, to_video(window_THWC[None]))[0].transpose(0, 1) * vae.config.scaling_factor


def tokens(latents_FChw: Tensor, patch: int) -> Tensor:
    """(N, C * patch * patch): the numbers of each token in the order of the transformer's layers."""
    f, c, h, w = latents_FChw.shape
    split = latents_FChw.view(f, c, h // patch, patch, w // patch, patch)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(-1, c * patch * patch)


def fit(x_NI: Tensor, y_NO: Tensor) -> LinearMap:
    """Least squares from x to y, with a small ridge."""
    x, y = x_NI.double(), y_NO.double()
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    gram = (x - x_mean).T @ (x - x_mean) / len(x)
    ridge = 1e-3 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    weight = torch.linalg.solve(gram + ridge, (x - x_mean).T @ (y - y_mean) / len(x)).T
    return LinearMap(weight.float(), (y_mean - weight @ x_mean).float())


def _copy(network: Any, weights: dict[str, Tensor], folder: str) -> None:
    own = network.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        seen, wanted = (tuple(one[name].shape) if name in one else None for one in (weights, own))
        if seen != wanted:
            raise ConfigError(
                f"{Path(folder) / name}: shape {seen}, but {wanted} is required; start from a base of the same width, "
                "layers and text encoder, or without one"
            )
    network.load_state_dict(weights)
