"""A system under test is a small YAML file that says how videos are generated, with which weights and at which size.

| kind | What it is |
|---|---|
| mvideo | this project's generation code: a CogVideoX base and an adapter that training wrote |
| diffusers | a text-to-video or control pipeline of diffusers, as published |
| folder | videos generated elsewhere, found by name |

Wan-VACE and Fun-Control get a control video made from the masks. Neither was designed for mask input; mention this in
comparisons.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from mvideo_core.base.options import Options
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.cogvideox.kernels import KernelOptions
from mvideo_core.evaluation.suite import PROFILES
from mvideo_core.generation.options import GenerateOptions

SYSTEMS = PROFILES / "systems"


class MVideoSystem(Options):
    """A base model with an adapter, generating clip by clip."""

    base: BaseOptions = Field(default=BaseOptions(), description="the CogVideoX")
    adapter: str = Field(default="", description="folder written by train-mvideo; MVideo's are not published")
    allow_other_base: bool = Field(default=False, description="allow base weights that the adapter was not trained on")
    masks: bool = Field(default=True, description="guide generation with the item's masks, if any")
    options: GenerateOptions = Field(default=GenerateOptions(), description="sampling; seed and length come per item")


class DiffusersSystem(Options):
    """A diffusers pipeline, called once per video."""

    pipeline: Literal["CogVideoXPipeline", "CogVideoXFunControlPipeline", "WanVACEPipeline"] = Field(
        description="pipeline class in diffusers"
    )
    weights: str = Field(description="catalog name, or pipeline folder in diffusers' layout")
    dtype: Literal["bf16", "fp16", "fp32"] = Field(default="bf16", description="data type of weights and activations")
    height_px: int = Field(default=480, ge=16, multiple_of=16, description="px")
    width_px: int = Field(default=720, ge=16, multiple_of=16, description="px")
    frames: int = Field(default=49, ge=5, description="frames of a video, 8n + 1")
    fps: float = Field(default=8.0, gt=0, description="frames per second the model was trained at")
    steps: int = Field(default=50, ge=1, description="denoising steps")
    guidance: float = Field(default=6.0, ge=1, description="classifier-free guidance on the text")
    dynamic_guidance: bool = Field(default=False, description="CogVideoX's use_dynamic_cfg (recommended with dpm)")
    scheduler: Literal["", "ddim", "dpm"] = Field(
        default="", description="CogVideoX sampler: ddim or dpm; empty = as published"
    )
    spacing: Literal["", "leading", "linspace", "trailing"] = Field(
        default="", description="timestep spacing of that sampler; empty = as published"
    )
    execution: KernelOptions = Field(default=KernelOptions(), description="kernels: affect rounding and speed")
    negative_prompt: str = Field(default="", description="prompt to steer away from")
    control: Literal["none", "filled", "outline"] = Field(
        default="none",
        description="control video rendered from the item's masks: white areas or outlines on black",
    )
    offload: bool = Field(default=False, description="keep idle components on the CPU to save GPU memory")

    @model_validator(mode="after")
    def _check_control(self) -> "DiffusersSystem":
        if (self.pipeline == "CogVideoXPipeline") != (self.control == "none"):
            raise ValueError(f"pipeline {self.pipeline} and control {self.control!r}: only CogVideoXPipeline has none")
        if self.pipeline == "WanVACEPipeline" and (self.scheduler or self.spacing or self.dynamic_guidance):
            raise ValueError(
                "scheduler, spacing and dynamic_guidance apply to CogVideoX only; WanVACEPipeline has its own"
            )
        if self.spacing and not self.scheduler:
            raise ValueError("spacing needs a scheduler: ddim or dpm")
        if self.frames % 8 != 1:
            raise ValueError(f"frames is {self.frames}; it must be 8n + 1, such as 49 or 81")
        return self

    @property
    def seconds(self) -> float:
        """Length as the paper counts it: 49 frames at 8 fps are 6 s."""
        return (self.frames - 1) / self.fps


class FolderSystem(Options):
    """Existing videos."""

    folder: str = Field(default="", description="folder of the videos; set it with --set folder.folder=PATH")
    names: tuple[str, ...] = Field(
        default=("{id}.mp4", "{prompt}-{seed}.mp4", "{prompt}.mp4"),
        min_length=1,
        description="file names to try, in order; {id}, {prompt}, {seed} come from the item",
    )
    seconds: float | None = Field(
        default=None, gt=0, description="declared length of the videos, s; files that differ cause a warning"
    )


class SystemOptions(Options):
    """One system under test."""

    name: str = Field(default="", description="name in manifests and tables; empty = the folder's name")
    mvideo: MVideoSystem | None = Field(default=None, description="generate with this project's code")
    diffusers: DiffusersSystem | None = Field(default=None, description="generate with a diffusers pipeline")
    folder: FolderSystem | None = Field(default=None, description="use existing videos")

    @model_validator(mode="after")
    def _one_kind(self) -> "SystemOptions":
        given = [kind for kind in ("mvideo", "diffusers", "folder") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"{' and '.join(given) or 'none'} given; set exactly one of mvideo, diffusers, folder")
        if not self.name and self.folder is None:
            raise ValueError("name is empty; only a folder of videos defaults to the folder's name")
        return self


def length_s(system: SystemOptions) -> float | None:
    """Length of the system's videos from its options, seconds; None = as long as the masks, or unknown."""
    if system.mvideo is not None:
        return system.mvideo.options.seconds
    return system.diffusers.seconds if system.diffusers is not None else None


def load_system(name: str, overrides: dict[str, Any] | None = None, folder: Path = SYSTEMS) -> SystemOptions:
    """Load a system by profile name or path. Raises ConfigError: unknown system or invalid value."""
    found = SystemOptions.of_profile(folder, name, overrides)
    if found.folder is None or found.name or not found.folder.folder:
        return found
    return found.model_copy(update={"name": Path(found.folder.folder).expanduser().absolute().name})
