"""Faster CPU forward passes for slow layers of AutoencoderKLCogVideoX, with the same result.

Three layers of an instance get a new forward: the decoder's spatial norm applies its 1x1 convolutions before upsampling
the latents to pixels instead of after, and the two resampling layers stay in (B, C, T, H, W). Values agree with
diffusers' up to rounding; files on disk do not change.

Legend: B batch, C channels, T frames, H, W.
"""

import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mvideo_core.cogvideox.cpu_convolutions import convolve, use_onednn


def use_fast_layers(vae: Any) -> None:
    """Replace the slow forwards of this instance."""
    from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXSpatialNorm3D
    from diffusers.models.downsampling import CogVideoXDownsample3D
    from diffusers.models.upsampling import CogVideoXUpsample3D

    forwards: dict[type, Callable[..., Any]] = {
        CogVideoXSpatialNorm3D: _norm,
        CogVideoXDownsample3D: _down,
        CogVideoXUpsample3D: _up,
    }
    use_onednn(vae)
    for module in vae.modules():
        forward = forwards.get(type(module))
        if forward is not None:
            module.forward = types.MethodType(forward, module)


def skip_zero_blocks(encoder: Any) -> None:
    """Residual blocks of this encoder that add nothing, as in a linear code, are no longer computed.

    Encoding a clip of 17 frames then takes a fifth of the time. Later changes of their weights have no effect.
    """
    from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXResnetBlock3D

    for module in encoder.modules():
        if isinstance(module, CogVideoXResnetBlock3D):
            last = module.conv2.conv
            if not last.weight.any() and not last.bias.any():
                module.forward = types.MethodType(_shortcut, module)


def spread(z_BCTHW: Tensor, size_THW: tuple[int, int, int]) -> Tensor:
    """Nearest-neighbor upsampling; with an odd number of frames, the first latent covers only the first frame."""
    frames, height, width = size_THW
    if frames > 1 and frames % 2 == 1:
        first = F.interpolate(z_BCTHW[:, :, :1], size=(1, height, width))
        return torch.cat([first, F.interpolate(z_BCTHW[:, :, 1:], size=(frames - 1, height, width))], dim=2)
    return F.interpolate(z_BCTHW, size=size_THW)


def merge_frames(x_BCTHW: Tensor) -> Tensor:
    """Means of two frames each; of an odd number, the first frame stays alone, as in CogVideoXDownsample3D."""
    odd = x_BCTHW.shape[2] % 2
    rest = (x_BCTHW[:, :, odd::2] + x_BCTHW[:, :, odd + 1 :: 2]) * 0.5
    return torch.cat([x_BCTHW[:, :, :odd], rest], dim=2)


def _norm(self: Any, f: Tensor, zq: Tensor, conv_cache: Any = None) -> tuple[Tensor, dict[str, Any]]:
    size = (f.shape[2], f.shape[3], f.shape[4])
    scale, shift = spread(self.conv_y.conv(zq), size), spread(self.conv_b.conv(zq), size)
    return torch.addcmul(shift, self.norm_layer(f), scale), {}


def _shortcut(
    self: Any, inputs: Tensor, temb: Any = None, zq: Any = None, conv_cache: Any = None
) -> tuple[Tensor, dict[str, Any]]:
    return (self.conv_shortcut(inputs) if self.in_channels != self.out_channels else inputs), {}


def _down(self: Any, x: Tensor) -> Tensor:
    x = F.pad(merge_frames(x) if self.compress_time else x, (0, 1, 0, 1))
    stride = self.conv.stride
    return convolve(x, self.conv.weight[:, :, None], self.conv.bias, stride=(1, *stride))


def _up(self: Any, x: Tensor) -> Tensor:
    frames, height, width = x.shape[2:]
    if self.compress_time and frames > 1:
        frames = 2 * frames - frames % 2
    x = spread(x, (frames, 2 * height, 2 * width))
    return convolve(x, self.conv.weight[:, :, None], self.conv.bias, padding=(0, *self.conv.padding))
