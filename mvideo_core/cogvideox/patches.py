"""Latents to tokens and back.

Shape letters: B batch, F latent frames, C channels, H, W latent sides, L tokens, D channels of a token.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def patches(conv: "nn.Module", latents_BFCHW: "Tensor") -> "Tensor":
    """Tokens (B, L, D), frame by frame, row by row."""
    batch, frames = latents_BFCHW.shape[:2]
    return conv(latents_BFCHW.flatten(0, 1)).unflatten(0, (batch, frames)).flatten(3).transpose(2, 3).flatten(1, 2)


def unpatch(tokens_BLD: "Tensor", frames: int, height: int, width: int, patch: int) -> "Tensor":
    """Latents (B, F, C, H, W) of tokens (B, L, C * patch * patch)."""
    grid = tokens_BLD.reshape(
        -1, frames, height // patch, width // patch, tokens_BLD.shape[2] // patch**2, patch, patch
    )
    return grid.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)
