"""Training forward pass of ViCLIP with its own modules: a subset of patches, texts without padding.

At inference `networks.viclip.ViClip` sees every patch; with all patches kept both give the same embeddings.

Legend: B videos, T frames, P patches of a frame, K tokens kept, L text tokens, D embedding.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mvideo_core.evaluation.networks.mini_viclip import clip_norm


def video_states(network: Any, video_BTCHW: Tensor, kept_BK: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(embeddings (B, D), normed states of the patch tokens (B, K, width)).

    Args:
        video_BTCHW: 8-bit frames of the network's size.
        kept_BK: indices of the tokens to keep, frame by frame (t * P + p); None = all T * P.
    """
    vision, patch = network.vision_encoder, network.sizes.patch_px
    batch, frames, _, height, width = video_BTCHW.shape
    rows, columns = height // patch, width // patch
    pixels = video_BTCHW.view(batch, frames, 3, rows, patch, columns, patch).permute(0, 1, 3, 5, 2, 4, 6)
    flat_BNC = pixels.reshape(batch, frames * rows * columns, 3 * patch * patch)
    places = vision.positional_embedding[1:] + vision.temporal_positional_embedding[0, :, None]
    places_NC = places.reshape(frames * rows * columns, -1)
    if kept_BK is not None:
        flat_BNC = torch.gather(flat_BNC, 1, kept_BK[..., None].expand(-1, -1, flat_BNC.shape[-1]))
        places_NC = places_NC[kept_BK]
    normed = clip_norm(flat_BNC.view(*flat_BNC.shape[:2], 3, patch, patch)).flatten(2)
    tokens = functional.linear(normed, vision.conv1.weight.flatten(1)) + places_NC
    first = (vision.class_embedding + vision.positional_embedding[0]).expand(batch, 1, -1)
    states = vision.ln_pre(torch.cat([first, tokens], dim=1))
    for block in vision.transformer.resblocks:
        states = _block(block, states, causal=False)
    states = vision.ln_post(states)
    return states[:, 0] @ vision.proj, states[:, 1:]


def text_embeddings(network: Any, tokens_BL: Tensor, parts: int = 3) -> Tensor:
    """(B, D); groups texts of similar length and skips everything after a text's end (the mask is causal)."""
    text = network.text_encoder
    lengths = tokens_BL.argmax(dim=-1) + 1
    order = lengths.argsort()
    found = []
    for chunk in order.tensor_split(min(parts, len(order))):
        tokens = tokens_BL[chunk, : int(lengths[chunk].max())]
        states = text.token_embedding(tokens) + text.positional_embedding[: tokens.shape[1]]
        for block in text.transformer.resblocks:
            states = _block(block, states, causal=True)
        ends = states[torch.arange(len(chunk)), lengths[chunk] - 1]
        found.append(text.ln_final(ends) @ text.text_projection)
    return torch.cat(found)[order.argsort()]


def _block(block: Any, states: Tensor, causal: bool) -> Tensor:
    batch, length, width = states.shape
    attn = block.attn
    mixed = functional.linear(block.ln_1(states), attn.in_proj_weight, attn.in_proj_bias)
    q, k, v = mixed.view(batch, length, 3, attn.num_heads, width // attn.num_heads).permute(2, 0, 3, 1, 4)
    seen = functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
    states = states + attn.out_proj(seen.transpose(1, 2).reshape(batch, length, width))
    hidden = block.mlp["c_fc"](block.ln_2(states))
    # x * sigmoid(1.702 x), as one kernel
    return states + block.mlp["c_proj"](functional.silu(1.702 * hidden) / 1.702)
