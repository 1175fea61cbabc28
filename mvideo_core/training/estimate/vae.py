"""Memory of the VAE while it decodes one clip."""

from typing import Any

from mvideo_core.training.estimate.shape import ModelShape


def vae_bytes(shape: ModelShape, dtype: Any) -> tuple[int, int]:
    """Bytes of the VAE's weights, and of all live tensors at the peak of decoding a clip without tiling."""
    import torch
    from diffusers import AutoencoderKLCogVideoX
    from torch import nn

    from mvideo_core.training.estimate.live import LiveBytes, fake_mode, fake_tensors

    with torch.device("meta"):
        vae: Any = AutoencoderKLCogVideoX(**shape.vae).eval()
        nn.Module.to(vae, dtype)
    weights = sum(one.numel() * one.element_size() for one in vae.parameters())
    frames, channels, height, width = shape.latents["target"]
    with fake_mode():
        fake_tensors(vae)
        latents = torch.empty(1, channels, frames, height, width, dtype=dtype)
        with torch.no_grad(), LiveBytes() as live:
            live.outside([*vae.parameters(), latents])
            vae.decode(latents)
    return weights, live.peak
