"""Which models and format a cache belongs to, read from their files without loading them; the transformer is
ignored.
"""

from typing import Any, NamedTuple

from mvideo_core.cogvideox.base import RANDOM, BaseOptions, load_base, read_json
from mvideo_core.cogvideox.sizes import size_of
from mvideo_core.cogvideox.video_format import VideoFormat, spatial_stride
from mvideo_core.training.latents.info import LatentIdentity
from mvideo_core.weights import find

COGVIDEOX_TOKENS = 226
COGVIDEOX_CHANNELS = 16
COGVIDEOX_2B_SCALING = 1.15258426
"""Defaults of diffusers' classes, for configs that leave them out."""


def base_identity(options: BaseOptions, video_format: VideoFormat | None = None) -> LatentIdentity:
    """The identity of latents made with this base model in this format; `LatentDataset(expect=...)` compares it.

    Args:
        video_format: None for the base model's own format.

    Raises:
        ModelError: the weights are not on this machine. ConfigError: no such name.
    """
    base = load_base(options, parts=())
    return LatentIdentity(
        vae=base.part_sha256["vae"],
        text_encoder=base.part_sha256["text_encoder"],
        text_tokens=int(_config(options, "transformer").get("max_text_seq_length", COGVIDEOX_TOKENS)),
        format=video_format or base.format,
    )


class VaeNumbers(NamedTuple):
    """The parts of a VAE's config that its latents depend on.

    Attributes:
        channels: C of every latent.
        scaling_factor: what the latents are multiplied by before they reach the transformer.
        stride_px: pixels per latent cell, in both directions.
    """

    channels: int
    scaling_factor: float
    stride_px: int


def vae_numbers(options: BaseOptions) -> VaeNumbers:
    """The numbers of the base's VAE, from its config."""
    config = _config(options, "vae")
    return VaeNumbers(
        int(config.get("latent_channels", COGVIDEOX_CHANNELS)),
        float(config.get("scaling_factor", COGVIDEOX_2B_SCALING)),
        spatial_stride(config),
    )


def _config(options: BaseOptions, part: str) -> dict[str, Any]:
    if options.weights.startswith(RANDOM):
        plan = size_of(options.weights.removeprefix(RANDOM))
        values: dict[str, Any] = getattr(plan, part)
        return values
    return read_json(find(options.weights, kind="generator") / part / "config.json")
