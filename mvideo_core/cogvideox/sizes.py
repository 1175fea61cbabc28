"""Configurations of the models: the two public CogVideoX, the mini ones for the synthetic world, tiny ones for tests.

Each is the real architecture; only numbers differ. The table of sizes is in `docs/results/mini_base.md`.
"""

from dataclasses import dataclass, replace
from typing import Any

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.video_format import VideoFormat, spatial_stride

Config = dict[str, Any]
MINI_FORMAT = VideoFormat(height_px=64, width_px=96, motion_height_px=32, motion_width_px=48, clip_frames=17)
MINI_SIZE_HW = (MINI_FORMAT.height_px, MINI_FORMAT.width_px)


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Everything needed to build one CogVideoX from scratch.

    Attributes:
        transformer: arguments of CogVideoXTransformer3DModel.
        vae: arguments of AutoencoderKLCogVideoX.
        text_encoder: arguments of transformers' T5Config.
        scheduler: arguments of CogVideoXDDIMScheduler.
        format: clip size and length that it is made for.
        text_tokens: length that prompts are padded to; T5 runs without an attention mask, so padding matters.
    """

    transformer: Config
    vae: Config
    text_encoder: Config
    scheduler: Config
    format: VideoFormat
    text_tokens: int = 226


def size_of(name: str) -> ModelSize:
    """The size with that name.

    Raises:
        ConfigError: no such size; the message lists the known ones.
    """
    if name not in SIZES:
        raise ConfigError(f"model size: {name!r} is unknown; use one of: {', '.join(SIZES)}")
    return SIZES[name]


def _scheduler(snr_shift_scale: float) -> Config:
    """The noise schedule of the CogVideoX checkpoints (diffusers' scripts/convert_cogvideox_to_diffusers.py)."""
    return {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": True,
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "snr_shift_scale": snr_shift_scale,
        "timestep_spacing": "trailing",
    }


_T5_XXL: Config = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "vocab_size": 32128,
    "feed_forward_proj": "gated-gelu",
}


def _transformer(heads: int, head_dim: int, layers: int, rope: bool, **changes: Any) -> Config:
    return {
        "num_attention_heads": heads,
        "attention_head_dim": head_dim,
        "num_layers": layers,
        "use_rotary_positional_embeddings": rope,
    } | changes


def _on_grid(form: VideoFormat, vae: Config) -> Config:
    """The transformer's sizes that follow from the format and the VAE's compression.

    The low-resolution stage is the one whose tokens are one unit apart (480 / 256 = 1.875 in CogVideoX).
    """
    return {
        "sample_height": form.height_px // spatial_stride(vae),
        "sample_width": form.width_px // spatial_stride(vae),
        "sample_frames": form.clip_frames,
        "spatial_interpolation_scale": form.height_px / form.motion_height_px,
    }


def _public(heads: int, layers: int, rope: bool, vae_scaling: float, snr_shift_scale: float) -> ModelSize:
    return ModelSize(
        transformer=_transformer(heads, 64, layers, rope),
        vae={"scaling_factor": vae_scaling},
        text_encoder=_T5_XXL,
        scheduler=_scheduler(snr_shift_scale),
        format=VideoFormat(),
    )


def _small(
    form: VideoFormat, heads: int, head_dim: int, layers: int, rope: bool, text_tokens: int, text: Config, vae: Config,
    patch: int = 2,
) -> ModelSize:  # fmt: skip
    vae = {"latent_channels": 16} | vae | {"sample_height": form.height_px, "sample_width": form.width_px}
    small = {
        "in_channels": vae["latent_channels"],
        "out_channels": vae["latent_channels"],
        "patch_size": patch,
        "time_embed_dim": heads * head_dim // 2,
        "text_embed_dim": text["d_model"],
        "max_text_seq_length": text_tokens,
        **_on_grid(form, vae),
    }
    return ModelSize(
        transformer=_transformer(heads, head_dim, layers, rope, **small),
        vae=vae,
        text_encoder=text | {"feed_forward_proj": "gated-gelu", "dropout_rate": 0.0},
        scheduler=_scheduler(1.0 if rope else 3.0),
        format=form,
        text_tokens=text_tokens,
    )


def mini_vae(size_hw: tuple[int, int], channels: tuple[int, ...], latent_channels: int) -> Config:
    """Arguments of a mini AutoencoderKLCogVideoX for clips of `size_hw` px; sides are halved between its blocks.

    One group: norms over two channels hide a clip's mean color, and training takes far longer to get it through.
    """
    return {
        "block_out_channels": channels,
        "down_block_types": ("CogVideoXDownBlock3D",) * len(channels),
        "up_block_types": ("CogVideoXUpBlock3D",) * len(channels),
        "layers_per_block": 1,
        "norm_num_groups": 1,
        "scaling_factor": 1.0,
        "latent_channels": latent_channels,
        "sample_height": size_hw[0],
        "sample_width": size_hw[1],
    }


def _mini(rope: bool) -> ModelSize:
    """Trained from scratch on one CPU core and shipped in fp16 under 9 MB (`docs/results/mini_base.md`).

    In a block of this width, the linears of the two norms would be a third of the weights; a small time embedding
    leaves the room to attention. The noise schedule is not shifted: 8x12 latents are less redundant than 60x90 ones, so
    less noise hides them.
    """
    return _mini_of(mini_vae(MINI_SIZE_HW, (8, 16, 32, 32), 16), rope, heads=6, layers=6, patch=2)


def _mini_fine() -> ModelSize:
    """Finer latents and tokens: the same clips and transformer, a VAE of 4x compression (`docs/results/mini_base.md`).

    Patches of 2 give tokens of 8x8 px, a quarter of `mini-sincos`'s. The noise schedule has 2b's shift: neighboring
    latents of 4x compression are so alike that less noise leaves an object's place and shape visible at nearly all
    timesteps, and few of them train the model to decide on these.
    """
    size = _mini_of(mini_vae(MINI_SIZE_HW, (16, 32, 32), 10), rope=False, heads=6, layers=6, patch=2)
    return replace(size, scheduler=_scheduler(3.0))


def _mini_of(vae: Config, rope: bool, heads: int, layers: int, patch: int) -> ModelSize:
    text = {"d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 2, "num_heads": 4}
    size = _small(MINI_FORMAT, heads, head_dim=32, layers=layers, rope=rope, text_tokens=80, text=text, vae=vae,
                  patch=patch)  # fmt: skip
    return replace(size, transformer=size.transformer | {"time_embed_dim": 32}, scheduler=_scheduler(1.0))


def _tiny(rope: bool) -> ModelSize:
    vae = {"block_out_channels": (8, 8, 8, 16), "layers_per_block": 1, "norm_num_groups": 4, "scaling_factor": 0.7}
    return _tiny_of(vae, rope, patch=2)


def _tiny_fine() -> ModelSize:
    """A VAE of 4x compression with 8 channels, and patches of 4: tokens are as large as those of `tiny-sincos`."""
    return _tiny_of(mini_vae((32, 64), (8, 8, 16), 8) | {"scaling_factor": 0.7}, rope=False, patch=4)


def _tiny_of(vae: Config, rope: bool, patch: int) -> ModelSize:
    form = VideoFormat(height_px=32, width_px=64, motion_height_px=16, motion_width_px=32, clip_frames=9)
    text = {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    return _small(form, heads=2, head_dim=16, layers=2, rope=rope, text_tokens=16, text=text, vae=vae, patch=patch)


SIZES: dict[str, ModelSize] = {
    "cogvideox-2b": _public(30, 30, rope=False, vae_scaling=1.15258426, snr_shift_scale=3.0),
    "cogvideox-5b": _public(48, 42, rope=True, vae_scaling=0.7, snr_shift_scale=1.0),
    "mini-sincos": _mini(rope=False),
    "mini-rope": _mini(rope=True),
    "mini-fine": _mini_fine(),
    "tiny-sincos": _tiny(rope=False),
    "tiny-rope": _tiny(rope=True),
    "tiny-fine": _tiny_fine(),
}
