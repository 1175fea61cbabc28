"""CogVideoX's block with a second modulation for clean tokens.

Shape letters: B batch, L tokens, D channels.
"""

from typing import Any, cast

import torch
from diffusers.models.normalization import CogVideoXLayerNormZero
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock
from torch import Tensor, nn


class MVideoBlock(CogVideoXBlock):
    """CogVideoXBlock whose last `n_clean` video tokens are modulated by a different timestep's embedding."""

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
        attention_kwargs: dict[str, Any] | None = None,
        temb_clean: Tensor | None = None,
        n_clean: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Video and text tokens (B, L, D) each, with the shapes of the inputs.

        Args:
            hidden_states: video tokens, the clean ones last.
            encoder_hidden_states: text tokens.
            temb, temb_clean: timestep embeddings (B, time_embed_dim); without the second, this is CogVideoXBlock
                itself.
        """
        n_clean = n_clean if temb_clean is not None else 0
        text_length = encoder_hidden_states.shape[1]
        video, text, gates, text_gate = _modulate(
            self.norm1, hidden_states, encoder_hidden_states, temb, temb_clean, n_clean
        )
        video, text = self.attn1(
            hidden_states=video,
            encoder_hidden_states=text,
            image_rotary_emb=image_rotary_emb,
            **(attention_kwargs or {}),
        )
        hidden_states = hidden_states + _apply_gates(video, gates, n_clean)
        encoder_hidden_states = encoder_hidden_states + text_gate * text
        video, text, gates, text_gate = _modulate(
            self.norm2, hidden_states, encoder_hidden_states, temb, temb_clean, n_clean
        )
        joint = self.ff(torch.cat([text, video], dim=1))
        hidden_states = hidden_states + _apply_gates(joint[:, text_length:], gates, n_clean)
        encoder_hidden_states = encoder_hidden_states + text_gate * joint[:, :text_length]
        return hidden_states, encoder_hidden_states


Gates = tuple[Tensor, Tensor | None]


def _modulate(
    norm: CogVideoXLayerNormZero, video: Tensor, text: Tensor, temb: Tensor, temb_clean: Tensor | None, n_clean: int
) -> tuple[Tensor, Tensor, Gates, Tensor]:
    """Normed and modulated video and text; gates (B, 1, D) of noisy and of clean tokens; gate of the text."""
    shift, scale, gate, text_shift, text_scale, text_gate = _six(norm, temb)
    normed, text = layer_norm(norm.norm, video), layer_norm(norm.norm, text) * (1 + text_scale) + text_shift
    if temb_clean is None:
        return normed * (1 + scale) + shift, text, (gate, None), text_gate
    clean_shift, clean_scale, clean_gate, *_ = _six(norm, temb_clean)
    noisy, clean = _split(normed, n_clean)
    video = torch.cat([noisy * (1 + scale) + shift, clean * (1 + clean_scale) + clean_shift], dim=1)
    return video, text, (gate, clean_gate), text_gate


def layer_norm(norm: nn.Module, tokens: Tensor) -> Tensor:
    """Layer norm in the dtype of its input; the kernel computes its statistics in fp32 anyway.

    Autocast would run it on an fp32 copy of the input, and the backward pass would keep that copy, six per block.
    """
    if tokens.dtype != torch.float32 and all(weight.dtype == tokens.dtype for weight in norm.parameters()):
        with torch.autocast(tokens.device.type, enabled=False):
            return cast(Tensor, norm(tokens))
    return cast(Tensor, norm(tokens).to(tokens.dtype))


def _six(norm: CogVideoXLayerNormZero, temb: Tensor) -> tuple[Tensor, ...]:
    return norm.linear(norm.silu(temb))[:, None].chunk(6, dim=2)


def _apply_gates(video: Tensor, gates: Gates, n_clean: int) -> Tensor:
    gate, clean_gate = gates
    if clean_gate is None:
        return gate * video
    noisy, clean = _split(video, n_clean)
    return torch.cat([gate * noisy, clean_gate * clean], dim=1)


def _split(video: Tensor, n_clean: int) -> tuple[Tensor, Tensor]:
    return video[:, : video.shape[1] - n_clean], video[:, video.shape[1] - n_clean :]
