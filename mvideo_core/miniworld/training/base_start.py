"""Initial weights of the mini VAE: the encoder is a linear code fitted to clips, the decoder interpolates.

With diffusers' default weights, only a clip's mean color gets through in the first minutes of training. Here the
residual blocks start at zero. Every downsampling layer of the encoder keeps the principal components of its 2x2 blocks,
averaged over the frames that it merges, and the last layers pass them on unchanged. Nothing has been trained by then,
and the latents hold more than after half an hour of training both networks (`docs/results/mini_base.md`).

Legend: B batch, C channels, T frames, H, W, N samples, K components.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mvideo_core.miniworld.training.base_fast import merge_frames

UPWARDS = (0.25, 0.5, 0.25)
"""Blurs the steps between doubled pixels."""
LUMINANCE = (0.299, 0.587, 0.114)
"""Of red, green, blue (ITU-R BT.601)."""
LOG_VARIANCE = -5.0
"""Latents have little noise."""
WHITENING = 0.7
"""Exponent: 0 keeps the components' spreads, 1 makes them equal, so that fine texture takes as large a share of the
transformer's loss as shapes."""
OFFSET = 6.0
"""Added before the encoder's last norm, in spreads of the first component: makes the norm's divisor nearly constant."""


class Components(NamedTuple):
    """Principal components of 2x2 blocks.

    Attributes:
        axes_KC22: unit vectors, largest spread first.
        means_K, spreads_K: of the samples along them.
    """

    axes_KC22: Tensor
    means_K: Tensor
    spreads_K: Tensor


@torch.no_grad()
def start_blocks(vae: Any) -> None:
    """Initialize a new AutoencoderKLCogVideoX in place: residual blocks at zero, interpolation in the decoder."""
    from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXResnetBlock3D, CogVideoXSpatialNorm3D
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
        elif isinstance(module, CogVideoXUpsample3D):
            taps = torch.tensor(UPWARDS)
            module.conv.weight.zero_()
            module.conv.bias.zero_()
            for channel in range(module.conv.weight.shape[0]):
                module.conv.weight[channel, channel] = taps[:, None] * taps


@torch.no_grad()
def start_linear_code(vae: Any, videos: Sequence[Tensor]) -> None:
    """Fit the encoder to `videos`, (B, 3, T, H, W) in [-1, 1] each; call `start_blocks` first.

    Latent k is component k, centered, with its spread raised to 1 - WHITENING. A last norm over C channels codes C / 2
    latents, because it takes a component and its negative: SiLU(x) - SiLU(-x) = x. Further latents stay zero.
    """
    encoder = vae.encoder
    _code_frames(encoder.conv_in.conv)
    blocks = list(encoder.down_blocks)
    layers = [block.downsamplers[0] for block in blocks[:-1]]
    for block in blocks:
        _pass_on(block.resnets[0])
    n_latents = min(vae.config.latent_channels, encoder.norm_out.num_channels // 2)
    for number, layer in enumerate(layers):
        last = number == len(layers) - 1
        kept = n_latents if last else layer.conv.weight.shape[0]
        found = principal_components(_inputs(encoder, layer, videos), kept)
        _set_components(layer.conv, found, whitening=WHITENING if last else 0.0)
    widens = blocks[-1].resnets[0].in_channels != blocks[-1].resnets[0].out_channels
    layer = blocks[-1].resnets[0].conv_shortcut if widens else layers[-1].conv
    _pass_pairs(encoder, layer, found.spreads_K ** (1 - WHITENING))


def repeat_channels(n_out: int, n_in: int) -> Tensor:
    """(n_out, n_in, 1, 1, 1): outputs repeat the inputs, or average the ones that map to them."""
    weight = torch.zeros(n_out, n_in)
    for channel in range(max(n_out, n_in)):
        weight[channel % n_out, channel % n_in] = 1.0
    return (weight / weight.sum(dim=1, keepdim=True))[:, :, None, None, None]


def principal_components(blocks_NC22: Tensor, n_components: int) -> Components:
    """The directions of largest spread, at most as many as a block has numbers."""
    samples = blocks_NC22.flatten(1).double()
    mean = samples.mean(dim=0)
    values, axes = torch.linalg.eigh((samples - mean).T @ (samples - mean) / len(samples))
    kept = axes.flip(1)[:, :n_components].T
    spreads = values.flip(0)[:n_components].clamp(min=1e-12).sqrt()
    return Components(kept.float().view(-1, *blocks_NC22.shape[1:]), (kept @ mean).float(), spreads.float())


def _code_frames(conv_in: Any) -> None:
    """The colors, and in the fourth channel how much the luminance has changed since the last frame."""
    conv_in.weight.zero_()
    conv_in.bias.zero_()
    for color, share in enumerate(LUMINANCE):
        conv_in.weight[color, color, -1, 1, 1] = 1.0
        conv_in.weight[3, color, -1, 1, 1] = share
        conv_in.weight[3, color, -2, 1, 1] = -share


def _pass_on(resnet: Any) -> None:
    """A block that widens copies its inputs into its first channels."""
    if resnet.in_channels != resnet.out_channels:
        resnet.conv_shortcut.weight.zero_()
        for channel in range(min(resnet.in_channels, resnet.out_channels)):
            resnet.conv_shortcut.weight[channel, channel] = 1.0


def _inputs(encoder: Any, layer: Any, videos: Sequence[Tensor]) -> Tensor:
    """The 2x2 blocks that `layer` sees of the videos, averaged over the frames that it merges, (N, C, 2, 2)."""
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        for video in videos:
            encoder(video)
    finally:
        hook.remove()
    return torch.cat([_to_blocks(merge_frames(one) if layer.compress_time else one) for one in seen])


def _to_blocks(x_BCTHW: Tensor) -> Tensor:
    b, c, t, h, w = x_BCTHW.shape
    return x_BCTHW.view(b, c, t, h // 2, 2, w // 2, 2).permute(0, 2, 3, 5, 1, 4, 6).reshape(-1, c, 2, 2)


def _set_components(conv: Any, found: Components, whitening: float) -> None:
    """Each output is a centered component, divided by its spread to the power `whitening`."""
    count = len(found.means_K)
    gains_K = found.spreads_K**-whitening
    conv.weight.zero_()
    conv.bias.zero_()
    conv.weight[:count, :, :2, :2] = found.axes_KC22 * gains_K[:, None, None, None]
    conv.bias[:count] = -found.means_K * gains_K


def _pass_pairs(encoder: Any, layer: Any, scales_K: Tensor) -> None:
    """From `layer` on, latent k is what its output k was: as a pair of opposite sign through norm and SiLU.

    The pairs keep the norm's mean at zero, and offsets of either sign keep its divisor nearly constant.
    """
    norm, last, n_latents = encoder.norm_out, encoder.conv_out.conv, len(scales_K)
    channels = torch.arange(norm.num_channels)
    offset = OFFSET * scales_K[0]
    offsets_C = torch.where(channels % 4 < 2, offset, -offset)
    pairs_CK = torch.zeros(norm.num_channels, n_latents)
    powers_C = torch.zeros(norm.num_channels)
    for latent, scale in enumerate(scales_K):
        pairs_CK[2 * latent, latent], pairs_CK[2 * latent + 1, latent] = 1.0, -1.0
        powers_C[2 * latent : 2 * latent + 2] = scale.square()
    flat = layer.weight[:n_latents].flatten(1)
    layer.weight.copy_((pairs_CK @ flat).view_as(layer.weight))
    layer.bias.copy_(pairs_CK @ layer.bias[:n_latents] + offsets_C)
    powers_G = powers_C.view(norm.num_groups, -1).mean(dim=1)
    norm.weight.copy_((offset.square() + powers_G).sqrt().repeat_interleave(norm.num_channels // norm.num_groups))
    norm.bias.copy_(-offsets_C)
    last.weight.zero_()
    last.bias.zero_()
    last.weight[:n_latents, :, -1, 1, 1] = pairs_CK.T
    last.bias[len(last.bias) // 2 :] = LOG_VARIANCE
