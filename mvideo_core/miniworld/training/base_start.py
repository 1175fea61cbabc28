"""Initial weights of the mini VAE: a pyramid of averages, with residual blocks that start at zero.

With diffusers' default weights, only a clip's mean color gets through in the first minutes of training.
Here the encoder averages 2x2 pixels, the decoder interpolates, each channel separately, and the blocks start at zero.
"""

from typing import Any

import torch
from torch import Tensor

UPWARDS = (0.25, 0.5, 0.25)
"""Blurs the steps between doubled pixels."""
LOG_VARIANCE = -4.0
"""Latents start with little noise."""


@torch.no_grad()
def start_as_pyramid(vae: Any) -> None:
    """Initialize a new AutoencoderKLCogVideoX in place."""
    from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXResnetBlock3D, CogVideoXSpatialNorm3D
    from diffusers.models.downsampling import CogVideoXDownsample3D
    from diffusers.models.upsampling import CogVideoXUpsample3D

    for module in vae.modules():
        if isinstance(module, CogVideoXSpatialNorm3D):
            module.conv_y.conv.bias.fill_(1.0)
            module.conv_b.conv.bias.zero_()
        elif isinstance(module, CogVideoXResnetBlock3D):
            module.conv2.conv.weight.zero_()
            module.conv2.conv.bias.zero_()
            if module.in_channels != module.out_channels:
                module.conv_shortcut.weight.copy_(repeat_channels(*module.conv_shortcut.weight.shape[:2]))
                module.conv_shortcut.bias.zero_()
        elif isinstance(module, CogVideoXDownsample3D):
            _each_channel(module.conv, torch.tensor([[0.25, 0.25, 0.0], [0.25, 0.25, 0.0], [0.0, 0.0, 0.0]]))
        elif isinstance(module, CogVideoXUpsample3D):
            taps = torch.tensor(UPWARDS)
            _each_channel(module.conv, taps[:, None] * taps)
    n_latent = vae.config.latent_channels
    vae.encoder.conv_out.conv.bias[n_latent:] = LOG_VARIANCE
    vae.encoder.conv_out.conv.weight[n_latent:] *= 0.1


def repeat_channels(n_out: int, n_in: int) -> Tensor:
    """(n_out, n_in, 1, 1, 1): outputs repeat the inputs, or average the ones that map to them."""
    weight = torch.zeros(n_out, n_in)
    for channel in range(max(n_out, n_in)):
        weight[channel % n_out, channel % n_in] = 1.0
    return (weight / weight.sum(dim=1, keepdim=True))[:, :, None, None, None]


def _each_channel(conv: Any, kernel_33: Tensor) -> None:
    conv.weight.zero_()
    conv.bias.zero_()
    for channel in range(conv.weight.shape[0]):
        conv.weight[channel, channel] = kernel_33
