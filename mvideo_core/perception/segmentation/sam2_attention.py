"""Cross attention to SAM2's memory on a CPU: the same sums with fewer products.

A memory token has 64 channels; the layer projects it to 256 and then averages with the attention's weights. Here the
tokens are averaged and the average is projected, which is equal but for rounding: softmax(Q K') (M W) = (softmax(Q K')
M) W. At the public size this attention takes most of a frame's time. On a GPU, and at small sizes, whose results keep
their bits, the layer's own code runs.

Shape letters: N objects, Q queries, K memory tokens, C channels of queries and keys, D of memory tokens.
"""

import math
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LEAST_QUERIES = 1024
"""An input side of 512 px."""
BLOCK_QUERIES = 256
"""Per thread; with `BLOCK_KEYS`, two megabytes of weights, which stay in the cache."""
BLOCK_KEYS = 2048


def average_before_projection(network: Any) -> None:
    """Let the memory attention of a network compute like this, in place; weights stay as they are."""
    for layer in network.memory_attention.layers:
        attention = layer.cross_attn_image
        if attention.num_heads == 1 and attention.kv_in_dim < attention.internal_dim:
            attention.forward = partial(_attend, attention, type(attention).forward)


def weighted_mean(q_NQC: "torch.Tensor", k_NKC: "torch.Tensor", v_NKD: "torch.Tensor") -> "torch.Tensor":
    """softmax(q k' / sqrt(C)) v, (N, Q, D), block by block without the whole (Q, K) matrix.

    Source: Milakov & Gimelshein 2018 (arXiv:1805.02867).
    """
    import torch

    scaled_NQC, out_NQD = q_NQC / math.sqrt(q_NQC.shape[-1]), q_NQC.new_empty(*q_NQC.shape[:2], v_NKD.shape[-1])
    block = BLOCK_QUERIES * torch.get_num_threads()
    for scaled, k, v, out in zip(scaled_NQC, k_NKC, v_NKD, out_NQD, strict=True):
        for start in range(0, len(scaled), block):
            out[start : start + block] = _one_block(scaled[start : start + block], k, v)
    return out_NQD


def _one_block(q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor") -> "torch.Tensor":
    total, highest = q.new_zeros(len(q), 1), q.new_full((len(q), 1), -math.inf)
    mean = q.new_zeros(len(q), v.shape[1])
    for start in range(0, len(k), BLOCK_KEYS):
        weights = q @ k[start : start + BLOCK_KEYS].T
        now = highest.maximum(weights.amax(-1, keepdim=True))
        weights.sub_(now).exp_()
        fading = highest.sub_(now).exp_()
        mean.mul_(fading).addmm_(weights, v[start : start + BLOCK_KEYS])
        total.mul_(fading).add_(weights.sum(-1, keepdim=True))
        highest = now
    return mean.div_(total)


def _attend(
    attention: Any, usual: Any, q: "torch.Tensor", k: "torch.Tensor", v: "torch.Tensor", num_k_exclude_rope: int = 0
) -> "torch.Tensor":
    """`RoPEAttention.forward`: (N, Q, C) from queries (N, Q, C), keys and values (N, K, D)."""
    import torch
    from sam2.modeling.sam.transformer import apply_rotary_enc

    unsuited = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
    if unsuited or not q.is_cpu or q.shape[1] < LEAST_QUERIES:
        return usual(attention, q, k, v, num_k_exclude_rope)  # type: ignore[no-any-return]
    side = math.isqrt(q.shape[1])
    if attention.freqs_cis.shape[0] != q.shape[1]:
        attention.freqs_cis = attention.compute_cis(end_x=side, end_y=side)
    query, key = attention.q_proj(q)[:, None], attention.k_proj(k)[:, None]
    rotated = key.shape[2] - num_k_exclude_rope
    query, key[:, :, :rotated] = apply_rotary_enc(
        query, key[:, :, :rotated], freqs_cis=attention.freqs_cis, repeat_freqs_k=attention.rope_k_repeat
    )
    projected: torch.Tensor = attention.out_proj(attention.v_proj(weighted_mean(query[:, 0], key[:, 0], v)))
    return projected
