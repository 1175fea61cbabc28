"""Positions of every token in physical time and space: noisy clip, appearance frame, low-resolution motion.

The noisy clip keeps CogVideoX's own coordinates. One unit of time is one latent frame; 0 is the clip's first frame,
which is also the last frame of the previous clip. So the appearance frame is at 0 and the 9 motion latents at -8..0. In
space, the motion tokens cover the same extent as the clip's: at 480x720 and 256x384, they are 1.875 base tokens apart
with RoPE. CogVideoX's sincos coordinates are already divided by 1.875, so there they are 1.0 apart.

Shape letters: L tokens, D channels.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import torch
from diffusers.models.embeddings import (
    get_1d_rotary_pos_embed,
    get_1d_sincos_pos_embed_from_grid,
    get_2d_sincos_pos_embed_from_grid,
)
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid
from torch import Tensor

Align = Literal["corner", "center"]


class TokenGrid(NamedTuple):
    """Tokens of one segment along time, height and width."""

    frames: int
    height: int
    width: int

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return self.frames * self.height * self.width


class Axes(NamedTuple):
    """Coordinates of a segment's tokens along time, height and width; float32, one dimension each."""

    t: Tensor
    h: Tensor
    w: Tensor


@dataclass(frozen=True, slots=True)
class PositionRules:
    """How coordinates are laid out.

    Attributes:
        base_height, base_width: tokens per frame that the model was trained at (RoPE regions are scaled to it).
        spatial_scale, temporal_scale: CogVideoX's interpolation scales; sincos coordinates are divided by them.
        align: "corner": first motion token on the first base token, as in diffusers; "center": areas share their
            centers.
        history_offset_frames: time of the last history frame, in frames after the clip's first one; 0 with overlap, -1
            without.
        temporal_stride: frames per latent frame.
    """

    base_height: int
    base_width: int
    spatial_scale: float
    temporal_scale: float
    align: Align = "corner"
    history_offset_frames: int = 0
    temporal_stride: int = 4

    @classmethod
    def of(cls, config: Any) -> Self:
        """The rules from a transformer's configuration."""
        return cls(
            base_height=config.sample_height // config.patch_size,
            base_width=config.sample_width // config.patch_size,
            spatial_scale=config.spatial_interpolation_scale,
            temporal_scale=config.temporal_interpolation_scale,
            align=config.spatial_align,
            history_offset_frames=config.history_offset_frames,
            temporal_stride=config.temporal_compression_ratio,
        )


def sincos_axes(grid: TokenGrid, extent: TokenGrid, rules: PositionRules, history: bool, device: torch.device) -> Axes:
    """Coordinates for sincos models.

    Args:
        grid: the segment's tokens.
        extent: the noisy clip's tokens, whose area the segment covers.
        history: the segment ends where the clip starts.
    """
    t = _time(grid.frames, rules, history, device) / rules.temporal_scale
    h = _spacing(grid.height, extent.height, rules.align, device) / rules.spatial_scale
    w = _spacing(grid.width, extent.width, rules.align, device) / rules.spatial_scale
    return Axes(t, h, w)


def rope_axes(grid: TokenGrid, extent: TokenGrid, rules: PositionRules, history: bool, device: torch.device) -> Axes:
    """Coordinates for RoPE models; arguments as for `sincos_axes`."""
    region = get_resize_crop_region_for_grid((extent.height, extent.width), rules.base_width, rules.base_height)
    (top, left), (bottom, right) = region
    h = _linspace(top, bottom, grid.height, device)
    w = _linspace(left, right, grid.width, device)
    if rules.align == "center":
        h = h + ((bottom - top) / grid.height - (bottom - top) / extent.height) / 2
        w = w + ((right - left) / grid.width - (right - left) / extent.width) / 2
    t = _time(grid.frames, rules, True, device) if history else _linspace(0, grid.frames, grid.frames, device)
    return Axes(t, h, w)


def sincos_embedding(axes: Axes, dim: int) -> Tensor:
    """Additive embedding (L, dim), a quarter of the channels for time; equals diffusers' `get_3d_sincos_pos_embed`."""
    grid_w, grid_h = torch.meshgrid(axes.w, axes.h, indexing="xy")
    grid = torch.stack([grid_w, grid_h]).reshape(2, 1, len(axes.h), len(axes.w))
    spatial_SD = get_2d_sincos_pos_embed_from_grid(3 * dim // 4, grid, output_type="pt")
    temporal_FD = get_1d_sincos_pos_embed_from_grid(dim // 4, axes.t, output_type="pt")
    frames, area = len(axes.t), len(spatial_SD)
    joint = torch.cat(
        [temporal_FD[:, None].expand(frames, area, -1), spatial_SD[None].expand(frames, area, -1)], dim=-1
    )
    return joint.reshape(frames * area, dim)


def rope_tables(axes: Axes, head_dim: int) -> tuple[Tensor, Tensor]:
    """cos and sin (L, head_dim) each, float32; equals diffusers' `get_3d_rotary_pos_embed`."""
    dims = (head_dim // 4, head_dim // 8 * 3, head_dim // 8 * 3)
    shape = [len(axis) for axis in axes]
    parts = [get_1d_rotary_pos_embed(dim, axis, use_real=True) for dim, axis in zip(dims, axes, strict=True)]
    tables = []
    for which in range(2):
        spread = []
        for place, part in enumerate(parts):
            view = [1, 1, 1, -1]
            view[place] = shape[place]
            spread.append(part[which].view(view).expand(*shape, -1))
        tables.append(torch.cat(spread, dim=-1).reshape(shape[0] * shape[1] * shape[2], -1))
    return tables[0], tables[1]


def _time(frames: int, rules: PositionRules, history: bool, device: torch.device) -> Tensor:
    steps = torch.arange(frames, device=device, dtype=torch.float32)
    if not history:
        return steps
    return steps - (frames - 1) + rules.history_offset_frames / rules.temporal_stride


def _spacing(n: int, extent: int, align: Align, device: torch.device) -> Tensor:
    """n positions over `extent` unit cells."""
    ratio = extent / n
    shift = (ratio - 1) / 2 if align == "center" else 0.0
    return torch.arange(n, device=device, dtype=torch.float32) * ratio + shift


def _linspace(start: float, stop: float, n: int, device: torch.device) -> Tensor:
    """diffusers' expression, kept for bit-exact equality."""
    return torch.linspace(start, stop * (n - 1) / n, n, device=device, dtype=torch.float32)
