"""How latents are made. Every field is part of the cache's key, even those that change only low-order bits."""

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mvideo_core.base.options import Options
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.training.latents.sloppy import SloppyOptions

LATER = ("sloppy", "store_coverage")
"""Fields that were added later: written only if they differ from the defaults, so that older keys and files stay
valid.
"""


class LatentOptions(Options):
    """Windows, sizes and precision of cached latents."""

    base: BaseOptions = Field(default=BaseOptions(), description="weights of VAE and text encoder, and their dtype")
    format: VideoFormat | None = Field(
        default=None, description="sizes, clip length and rate; default: what the base model was trained for"
    )
    stride_frames: int = Field(
        default=0, ge=0, description="frames from one window's target to the next; 0 = clip_frames - 1, no overlap"
    )
    max_windows: int = Field(default=0, ge=0, description="maximum windows per clip; 0 = as many as fit")
    batch_size: int = Field(
        default=1,
        ge=1,
        le=64,
        description="windows (and captions) encoded together; more memory, different low-order bits",
    )
    store_logvar: bool = Field(
        default=False,
        description="also keep the target's log variance, to sample it in training; as large as the target",
    )
    tiling: bool = Field(default=False, description="VAE in tiles: less GPU memory, different values near tile borders")
    max_stretch: float = Field(
        default=0.02, ge=0, description="allowed relative difference of aspect ratio between clip and format"
    )
    sloppy: SloppyOptions = Field(default=SloppyOptions(), description="Sloppy masks in addition to each window's own.")
    store_coverage: bool = Field(
        default=False,
        description="also keep how much of each latent cell the mask covers, for `mask_loss` in training",
    )

    @model_serializer(mode="wrap")
    def _leave_out_later(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        absent = self.at_default(*LATER)
        return {name: value for name, value in write(self).items() if name not in absent}
