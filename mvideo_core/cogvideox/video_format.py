"""The grid shared by latents, masks and generated clips: sizes, frame rate, clip length (paper, sections 3.3 and 4.1).

Shape letters: B batch, T frames, F latent frames, C channels, H, W; small h, w: latent sides.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from mvideo_core.base.options import Options

COGVIDEOX_BLOCKS = 4
"""Default of AutoencoderKLCogVideoX, for configs that leave `block_out_channels` out."""
TEMPORAL_STRIDE = 4
"""Frames per latent frame, after the first, which is a single frame."""
PATCH = 2
"""Latent cells per token, in both directions (CogVideoX 1.0)."""


class VideoFormat(Options):
    """Sizes of one clip and of its conditions. Defaults: CogVideoX at the paper's 480x720, motion at 256x384."""

    height_px: int = Field(default=480, ge=16, multiple_of=16, description="height of a clip's frames, px")
    width_px: int = Field(default=720, ge=16, multiple_of=16, description="width of a clip's frames, px")
    motion_height_px: int = Field(default=256, ge=16, multiple_of=16, description="height of the motion condition, px")
    motion_width_px: int = Field(default=384, ge=16, multiple_of=16, description="width of the motion condition, px")
    clip_frames: int = Field(
        default=33, ge=9, le=129, description="frames of a clip: 8n + 1, for the VAE's chunks of 8"
    )
    fps: float = Field(default=8.0, gt=0, description="frames per second of clips and masks")

    @model_validator(mode="after")
    def _whole_chunks(self) -> "VideoFormat":
        if self.clip_frames % 8 != 1:
            near = self.clip_frames // 8 * 8 + 1
            raise ValueError(f"clip_frames is {self.clip_frames}; the VAE needs 8n + 1 frames: use {near}")
        return self

    @property
    def stride_frames(self) -> int:
        """New frames that a clip adds to a long video; its first frame is the last one of the previous clip."""
        return self.clip_frames - 1

    @property
    def window_frames(self) -> int:
        """Frames of one training window: the previous clip (motion) and the clip itself, sharing one frame."""
        return 2 * self.clip_frames - 1

    @property
    def latent_frames(self) -> int:
        """F of one clip."""
        return latent_frames(self.clip_frames)

    def n_clips(self, n_frames: int) -> int:
        """Clips that make a video of at least `n_frames` frames."""
        return max(1, -(-(n_frames - 1) // self.stride_frames))

    def n_frames(self, n_clips: int) -> int:
        """Frames of a video with that many clips."""
        return n_clips * self.stride_frames + 1


def spatial_stride(vae_config: Mapping[str, Any]) -> int:
    """Pixels per latent cell, in both directions: an AutoencoderKLCogVideoX halves the sides between its blocks.

    Args:
        vae_config: arguments of AutoencoderKLCogVideoX, or its config.json.
    """
    blocks = vae_config.get("block_out_channels")
    return 2 ** ((COGVIDEOX_BLOCKS if blocks is None else len(blocks)) - 1)


def latent_frames(n_frames: int) -> int:
    """Latent frames of a video of 1 or 8n + 1 frames."""
    return (n_frames - 1) // TEMPORAL_STRIDE + 1
