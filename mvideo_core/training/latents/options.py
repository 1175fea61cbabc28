"""How latents are made. Every field is part of the cache's key, also those that only change last bits."""

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.cogvideox.video_format import VideoFormat


class LatentOptions(Options):
    """Windows, sizes and precision of cached latents."""

    base: BaseOptions = Field(default=BaseOptions(), description="weights of VAE and text encoder, and their dtype")
    format: VideoFormat | None = Field(
        default=None, description="sizes, clip length and rate; left out = what the base model was trained for"
    )
    stride_frames: int = Field(
        default=0, ge=0, description="frames from one window's target to the next; 0 = clip_frames - 1, no overlap"
    )
    max_windows: int = Field(default=0, ge=0, description="most windows of one clip; 0 = as many as fit")
    batch_size: int = Field(
        default=1, ge=1, le=64, description="windows (and captions) encoded at once; more GPU memory, other last bits"
    )
    store_logvar: bool = Field(
        default=False, description="also keep the log variance of the target, to sample it in training; + its size"
    )
    tiling: bool = Field(default=False, description="VAE in tiles: less GPU memory, other values near their borders")
    max_stretch: float = Field(
        default=0.02, ge=0, description="allowed relative difference of the shapes of clip and format when resizing"
    )
