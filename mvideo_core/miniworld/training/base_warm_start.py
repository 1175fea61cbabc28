"""Start a mini base's transformer and text encoder from those of another base whose VAE is different.

Both must have the same width, layers and text encoder, and tokens that cover the same pixels. Every weight is copied
except the two layers that read and write latents. Both are fitted by least squares to the same clips: the new input
layer is the old one after a map from new tokens to old ones, and the new output layer maps what the transformer
computes from noisy latents to their velocity.

Legend: N samples, F latent frames, C channels, h, w latent sides, K numbers per token.
"""

from collections.abc import Callable, Sequence
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
NOISE = 1.0
"""The transformer reads latents with noise of any strength; without this, the map from token to token amplifies it."""
READING, WRITING = "patch_embed.proj", "proj_out"
"""Layers that depend on the VAE."""


class LinearMap(NamedTuple):
    """y = weight x + bias."""

    weight_OI: Tensor
    bias_O: Tensor


@torch.no_grad()
def warm_start(
    transformer: Any, text_encoder: Any, folder: str, windows: Sequence[np.ndarray], latents_NFChw: Tensor
) -> None:
    """Copy the weights of the pipeline folder `folder` into both networks, in place; the output layer stays as it is.

    Args:
        folder: pipeline folder or name of the old base.
        windows: frames of any clips, (T, H, W, 3) each.
        latents_NFChw: of the windows, by the VAE that the networks will work with.

    Raises:
        ModelError: no such base. ConfigError: its networks have other sizes.
    """
    from mvideo_core.cogvideox.fun_control import plain

    old = load_base(BaseOptions(weights=folder, dtype="fp32"))
    before = plain(old.transformer)  # type: ignore[arg-type]
    _copy(text_encoder, old.text_encoder.state_dict(), folder)
    old_latents = [latents_of(old.vae, window) for window in windows]
    old_NK, new_NK = (
        torch.cat([tokens(one, net.config.patch_size) for one in latents])
        for latents, net in ((old_latents, before), (latents_NFChw, transformer))
    )
    weights = before.state_dict()
    reading = fit(new_NK, old_NK, NOISE)
    into = weights[f"{READING}.weight"].flatten(1)
    weights[f"{READING}.weight"] = (into @ reading.weight_OI).view_as(transformer.patch_embed.proj.weight)
    weights[f"{READING}.bias"] = into @ reading.bias_O + weights[f"{READING}.bias"]
    for name in ("weight", "bias"):
        weights[f"{WRITING}.{name}"] = transformer.state_dict()[f"{WRITING}.{name}"]
    _copy(transformer, weights, folder)


@torch.no_grad()
def fit_output(transformer: Any, predict: Callable[[int], Any], velocity_NFChw: Tensor) -> None:
    """Set the output layer to the least squares fit of the velocity.

    Args:
        predict: called with the number of a sample; runs the transformer on it.
        velocity_NFChw: of all samples.
    """
    seen: list[Tensor] = []
    hook = transformer.proj_out.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].float().cpu()))
    try:
        for index in range(len(velocity_NFChw)):
            predict(index)
    finally:
        hook.remove()
    wanted = torch.cat([tokens(one, transformer.config.patch_size) for one in velocity_NFChw])
    layer = fit(torch.cat([one.flatten(0, -2) for one in seen]), wanted, 1e-3)
    transformer.proj_out.weight.copy_(layer.weight_OI)
    transformer.proj_out.bias.copy_(layer.bias_O)


def some_windows(clips: Clips) -> range:
    """Numbers of about N_WINDOWS evenly spaced windows."""
    return range(0, len(clips), max(1, len(clips) // N_WINDOWS))


def latents_of(vae: Any, window_THWC: np.ndarray) -> Tensor:
    """(F, C, h, w), multiplied by the VAE's scaling factor."""
    return encode_mode(vae, to_video(window_THWC[None]))[0].transpose(0, 1) * vae.config.scaling_factor


def tokens(latents_FChw: Tensor, patch: int) -> Tensor:
    """(N, C * patch * patch): the numbers of each token in the order of the transformer's layers."""
    f, c, h, w = latents_FChw.shape
    split = latents_FChw.view(f, c, h // patch, patch, w // patch, patch)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(-1, c * patch * patch)


def fit(x_NI: Tensor, y_NO: Tensor, noise: float) -> LinearMap:
    """Least squares from x with this variance of added noise, relative to the mean variance of x, to y."""
    x, y = x_NI.double(), y_NO.double()
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    gram = (x - x_mean).T @ (x - x_mean) / len(x)
    ridge = noise * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
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
