"""Checks of the transformer's inputs: one clear message instead of a shape error thirty layers deeper."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.conditions import Conditions


def check_inputs(
    config: Any, latents: Tensor, text: Tensor, conditions: Conditions | None
) -> tuple[Tensor, Conditions]:
    """Latents (B, F, in_channels, H, W) and matching conditions; a mask concatenated to the latents is split off.

    Raises:
        ConfigError: shapes do not match each other or the configuration.
    """
    conditions = conditions or Conditions()
    if latents.dim() != 5:
        raise ConfigError(
            f"hidden_states: shape {tuple(latents.shape)}; expected (batch, latent frames, channels, H, W)"
        )
    both = config.in_channels + config.mask_channels
    if latents.shape[2] == both and conditions.mask_BFCHW is None:
        latents, mask = latents.split([config.in_channels, config.mask_channels], dim=2)
        conditions = replace(conditions, mask_BFCHW=mask)
    if latents.shape[2] != config.in_channels:
        raise ConfigError(
            f"hidden_states: {latents.shape[2]} channels; expected {config.in_channels}, or {both} with the mask"
        )
    _check_even("hidden_states", latents, config.patch_size)
    _check_text(config, latents, text)
    _check_mask(config, latents, conditions.mask_BFCHW)
    _check_history(config, latents, conditions)
    return latents, conditions


def _check_text(config: Any, latents: Tensor, text: Tensor) -> None:
    if text.dim() != 3 or text.shape[0] != latents.shape[0] or text.shape[2] != config.text_embed_dim:
        raise ConfigError(
            f"encoder_hidden_states: shape {tuple(text.shape)}; expected "
            f"({latents.shape[0]}, {config.max_text_seq_length}, {config.text_embed_dim})"
        )
    if not config.use_rotary_positional_embeddings and text.shape[1] != config.max_text_seq_length:
        raise ConfigError(
            f"encoder_hidden_states: {text.shape[1]} tokens; this model takes {config.max_text_seq_length}, padding "
            "included"
        )


def _check_mask(config: Any, latents: Tensor, mask: Tensor | None) -> None:
    if mask is None:
        return
    expected = (*latents.shape[:2], config.mask_channels, *latents.shape[3:])
    if tuple(mask.shape) != expected:
        raise ConfigError(f"mask: latents of shape {tuple(mask.shape)}; expected {expected}, like the clip")


def _check_history(config: Any, latents: Tensor, conditions: Conditions) -> None:
    batch, _, channels, height, width = latents.shape
    appearance, motion = conditions.appearance_BFCHW, conditions.motion_BFCHW
    if appearance is not None and tuple(appearance.shape) != (batch, 1, channels, height, width):
        raise ConfigError(
            f"appearance: latents of shape {tuple(appearance.shape)}; expected {(batch, 1, channels, height, width)}: "
            "one frame, encoded alone at the clip's size"
        )
    if motion is not None:
        if motion.dim() != 5 or motion.shape[0] != batch or motion.shape[2] != channels:
            raise ConfigError(
                f"motion: latents of shape {tuple(motion.shape)}; expected ({batch}, F, {channels}, H, W)"
            )
        _check_even("motion", motion, config.patch_size)
    if conditions.timestep_B is not None and tuple(conditions.timestep_B.shape) != (batch,):
        raise ConfigError(f"conditions.timestep_B: shape {tuple(conditions.timestep_B.shape)}; expected ({batch},)")


def _check_even(name: str, latents: Tensor, patch: int) -> None:
    height, width = latents.shape[3:]
    if height % patch or width % patch:
        raise ConfigError(f"{name}: {height}x{width} latent cells; both sides must be multiples of {patch}")
