"""How a video is generated; the defaults are the paper's and CogVideoX's."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from mvideo_core.base.options import Options
from mvideo_core.cogvideox.cache_options import CacheOptions
from mvideo_core.cogvideox.history_sigma import HISTORY_SIGMA, TIMESTEP_GONE
from mvideo_core.cogvideox.kernels import KernelOptions


class GenerateOptions(Options):
    """Sampling, length and which conditions are used: everything that changes the video."""

    GONE: ClassVar[dict[str, str]] = {"condition_timestep": TIMESTEP_GONE}

    seconds: float | None = Field(
        default=None, gt=0, le=600, description="length, s; empty: as long as the masks, or one clip without masks"
    )
    seed: int = Field(default=0, ge=0, description="noise seed; each clip derives its own from this and its number")
    steps: int = Field(default=50, ge=1, le=1000, description="denoising steps per clip")
    scheduler: Literal["ddim", "dpm"] = Field(
        default="ddim", description="sampler: ddim (recommended for 2b) or dpm (recommended for 5b)"
    )
    spacing: Literal["", "leading", "linspace", "trailing"] = Field(
        default="", description="which timesteps the sampler uses; empty: as the base's publisher set it"
    )
    guidance: float = Field(default=6.0, ge=1, description="classifier-free guidance on the text; 1 = none")
    dynamic_guidance: bool = Field(
        default=False, description="step-dependent text guidance, as CogVideoX's use_dynamic_cfg"
    )
    mask_guidance: float = Field(
        default=1.0, ge=1, description="extra guidance on the masks; 1 = none, above 1 costs a third pass"
    )
    negative_prompt: str = Field(default="", description="what the text guidance steers away from")
    appearance: bool = Field(default=True, description="condition on the last frame of the previous clip, at full size")
    motion: bool = Field(default=True, description="condition on the previous clip at low resolution")
    history_sigma: float = Field(
        default=HISTORY_SIGMA,
        ge=0,
        lt=1,
        description="noise on the two conditions above, in sigma like `draws.history_sigma` of training; 0: none",
    )
    handover: Literal["frames", "latents"] = Field(
        default="frames",
        description="what the two conditions above are made from: frames = the previous clip, decoded and encoded "
        "again (the paper); latents = its latents as sampled, without the VAE",
    )
    match_statistics: bool = Field(
        default=False,
        description="give the two conditions the first clip's mean and standard deviation, channel by channel",
    )
    mask_end: Literal["error", "hold", "none"] = Field(
        default="error",
        description="if the masks end before the video: error, hold = repeat the last mask, none = no guidance",
    )
    objects: tuple[int, ...] = Field(default=(), description="objects of the mask file to use; empty = all")
    cache: CacheOptions = Field(default=CacheOptions(), description="skip parts of steps: faster, but different pixels")
    execution: KernelOptions = Field(default=KernelOptions(), description="kernels: different rounding and speed")
    crf: int = Field(default=14, ge=0, le=40, description="x264 quality of the mp4; lower is better")

    @model_validator(mode="after")
    def _check_guidance(self) -> "GenerateOptions":
        if self.negative_prompt and self.guidance == 1:
            raise ValueError("negative_prompt has no effect at guidance 1; raise guidance or leave the prompt empty")
        return self
