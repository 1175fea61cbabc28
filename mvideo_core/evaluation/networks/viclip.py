"""ViCLIP (Wang et al. 2023, arXiv:2307.06942): one embedding space for short videos and texts, at any size.

A joint space-time vision transformer (every patch of every frame attends to all others) plus CLIP's text transformer
with 32 positions. Parameter names match the public checkpoint, which loads strictly. Inference: no dropout, no
token masking.

Shape letters: B batch, T frames, H, W, C channels, L tokens, D embedding.
"""

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mvideo_core.base.options import Options


class ViclipSizes(Options):
    """Sizes of a ViCLIP; the defaults are ViCLIP-L/14, 428 M parameters."""

    image_px: int = Field(default=224, ge=1, description="side of the square frames")
    patch_px: int = Field(default=14, ge=1, description="side of a patch")
    n_frames: int = Field(default=8, ge=1, description="frames of a video, each with its own position")
    vision_width: int = Field(default=1024, ge=1, description="channels of the vision transformer")
    vision_layers: int = Field(default=24, ge=1, description="its layers")
    vision_heads: int = Field(default=16, ge=1, description="its heads")
    text_width: int = Field(default=768, ge=1, description="channels of the text transformer")
    text_layers: int = Field(default=12, ge=1, description="its layers")
    text_heads: int = Field(default=12, ge=1, description="its heads")
    context: int = Field(default=32, ge=2, description="tokens of a text, start and end included")
    vocabulary: int = Field(default=49408, ge=3, description="token ids; the largest is end of text")
    embedding: int = Field(default=768, ge=1, description="channels that video and text share")

    TINY: ClassVar[dict[str, int]] = {
        "patch_px": 56, "vision_width": 32, "vision_layers": 2, "vision_heads": 2, "text_width": 24, "text_layers": 2,
        "text_heads": 2, "embedding": 16,
    }  # fmt: skip
    """Sizes for tests: full frame size and code, everything else small."""


class ViClip(nn.Module):
    """Embeddings of videos and of token ids; their `cosine` is ViCLIP's similarity."""

    def __init__(self, sizes: ViclipSizes):
        super().__init__()
        self.sizes = sizes
        self.vision_encoder = VideoTransformer(sizes)
        self.text_encoder = TextTransformer(sizes)
        # Temperature of the training loss; part of the checkpoint, not used here.
        self.temp = nn.Parameter(torch.tensor(0.01))

    def encode_video(self, video_BTCHW: Tensor) -> Tensor:
        """Normalized frames (B, T, 3, H, W) to embeddings (B, D), not of unit length."""
        return self.vision_encoder(video_BTCHW)

    def encode_text(self, tokens_BL: Tensor) -> Tensor:
        """Token ids (B, L) to embeddings (B, D), not of unit length."""
        return self.text_encoder(tokens_BL)


def cosine(one_BD: Tensor, other_BD: Tensor) -> Tensor:
    """Cosine similarity of each pair of rows, (B, B)."""
    one_BD, other_BD = one_BD.float(), other_BD.float()
    return (one_BD / one_BD.norm(dim=-1, keepdim=True)) @ (other_BD / other_BD.norm(dim=-1, keepdim=True)).T


class VideoTransformer(nn.Module):
    """Patches of all frames and one class token in one sequence; returns the projected class token."""

    def __init__(self, sizes: ViclipSizes):
        super().__init__()
        width, patch = sizes.vision_width, sizes.patch_px
        self.conv1 = nn.Conv3d(3, width, (1, patch, patch), (1, patch, patch), bias=False)
        self.class_embedding = _normal(width, scale=width**-0.5)
        self.positional_embedding = _normal((sizes.image_px // patch) ** 2 + 1, width, scale=width**-0.5)
        self.temporal_positional_embedding = nn.Parameter(torch.zeros(1, sizes.n_frames, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, sizes.vision_layers, sizes.vision_heads)
        self.ln_post = nn.LayerNorm(width)
        self.proj = _normal(width, sizes.embedding, scale=width**-0.5)

    def forward(self, video_BTCHW: Tensor) -> Tensor:
        """(B, T, 3, H, W) to (B, D)."""
        batch = len(video_BTCHW)
        patches_BCTHW = self.conv1(video_BTCHW.transpose(1, 2))
        places = self.positional_embedding[1:].view(1, 1, -1, patches_BCTHW.shape[1])
        patches_BTLC = patches_BCTHW.flatten(3).permute(0, 2, 3, 1) + places
        # The published model orders tokens by position, then time; attention does not depend on it, but rounding does.
        patches_BLTC = patches_BTLC.transpose(1, 2) + self.temporal_positional_embedding[:, None]
        first = (self.class_embedding + self.positional_embedding[0]).expand(batch, 1, -1)
        tokens = self.ln_pre(torch.cat([first, patches_BLTC.flatten(1, 2)], dim=1))
        return self.ln_post(self.transformer(tokens)[:, 0]) @ self.proj


class TextTransformer(nn.Module):
    """CLIP's causal text transformer; returns the projected end-of-text token."""

    def __init__(self, sizes: ViclipSizes):
        super().__init__()
        width = sizes.text_width
        self.token_embedding = nn.Embedding(sizes.vocabulary, width)
        self.positional_embedding = _normal(sizes.context, width, scale=0.01)
        later = torch.full((sizes.context, sizes.context), float("-inf")).triu(1)
        self.register_buffer("later", later, persistent=False)
        self.transformer = Transformer(width, sizes.text_layers, sizes.text_heads)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = _normal(width, sizes.embedding, scale=width**-0.5)

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """(B, L) ids to (B, D); the largest id of a row is its end."""
        states = self.transformer(self.token_embedding(tokens_BL) + self.positional_embedding, self.later)
        ends = self.ln_final(states[torch.arange(len(tokens_BL)), tokens_BL.argmax(dim=-1)])
        return ends @ self.text_projection


class Transformer(nn.Module):
    """CLIP's pre-norm blocks, with its parameter names."""

    def __init__(self, width: int, layers: int, heads: int):
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads) for _ in range(layers))

    def forward(self, states_BLC: Tensor, mask_LL: Tensor | None = None) -> Tensor:
        """(B, L, C) to the same shape; `mask_LL` is added to the attention scores."""
        states_LBC = states_BLC.transpose(0, 1)
        for block in self.resblocks:
            states_LBC = block(states_LBC, mask_LL)
        return states_LBC.transpose(0, 1)


class Block(nn.Module):
    """Attention and an MLP with sigmoid-gated activation, each pre-norm with a residual connection."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        # Tokens first: with batch_first, torch's inference path would materialize the whole attention matrix.
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, states_LBC: Tensor, mask_LL: Tensor | None) -> Tensor:
        """(L, B, C) to the same shape."""
        normed = self.ln_1(states_LBC)
        states_LBC = states_LBC + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask_LL)[0]
        hidden = self.mlp["c_fc"](self.ln_2(states_LBC))
        return states_LBC + self.mlp["c_proj"](hidden * torch.sigmoid(1.702 * hidden))


def _normal(*shape: Any, scale: float) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * scale)
