"""Joint attention of CogVideoX with a selectable kernel.

diffusers' processor for CogVideoX does not use its attention dispatcher: `set_attention_backend` has no effect there.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.block import layer_norm

SdpaChoice = Literal["auto", "cudnn", "flash", "efficient", "math"]

_KERNELS: dict[str, list[SDPBackend]] = {
    "auto": [],
    # cuDNN first on Hopper (about twice as fast as torch's flash for long sequences); the others take what it rejects.
    "cudnn": [
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.MATH,
    ],
    "flash": [SDPBackend.FLASH_ATTENTION],
    "efficient": [SDPBackend.EFFICIENT_ATTENTION],
    "math": [SDPBackend.MATH],
}


class MVideoAttnProcessor:
    """`CogVideoXAttnProcessor2_0` with a chosen kernel; the same numbers with "auto".

    Args:
        sdpa: "auto": torch decides; "cudnn": cuDNN first, then whatever runs; the others: that kernel or an error.
    """

    def __init__(self, sdpa: SdpaChoice = "auto"):
        if sdpa not in _KERNELS:
            raise ConfigError(f"sdpa: {sdpa!r} is unknown; use one of: {', '.join(get_args(SdpaChoice))}")
        self.sdpa = sdpa

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Video and text tokens (B, L, D) each, after attention over both; RoPE rotates only the video tokens."""
        n_text = encoder_hidden_states.shape[1]
        tokens_BLD = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        query, key, value = (_heads(proj(tokens_BLD), attn.heads) for proj in (attn.to_q, attn.to_k, attn.to_v))
        if attn.norm_q is not None:
            query = layer_norm(attn.norm_q, query)
        if attn.norm_k is not None:
            key = layer_norm(attn.norm_k, key)
        if image_rotary_emb is not None:
            query[:, :, n_text:] = apply_rotary_emb(query[:, :, n_text:], image_rotary_emb)
            key[:, :, n_text:] = apply_rotary_emb(key[:, :, n_text:], image_rotary_emb)
        with kernel(self.sdpa):
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        mixed_BLD = mixed.transpose(1, 2).flatten(2)
        mixed_BLD = attn.to_out[1](attn.to_out[0](mixed_BLD))
        return mixed_BLD[:, n_text:], mixed_BLD[:, :n_text]


def kernel(sdpa: SdpaChoice) -> AbstractContextManager[None]:
    """Context in which `scaled_dot_product_attention` uses that kernel."""
    return nullcontext() if sdpa == "auto" else sdpa_kernel(_KERNELS[sdpa], set_priority=True)


def _heads(tokens_BLD: Tensor, heads: int) -> Tensor:
    return tokens_BLD.unflatten(2, (heads, -1)).transpose(1, 2)
