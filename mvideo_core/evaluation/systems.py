"""Systems under test as small YAML files: what makes the videos, from which weights, at which size.

| kind | What it is |
|---|---|
| mvideo | this project's generation code: a CogVideoX base and an adapter that training wrote |
| diffusers | a text-to-video or control pipeline of diffusers, as published |
| folder | videos that something else made, found by name |
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
    """An adapter over a base, generating clip after clip."""

    base: BaseOptions = Field(default=BaseOptions(), description="the CogVideoX")
    adapter: str = Field(default="", description="folder that train-mvideo wrote; MVideo's own are not published")
    allow_other_base: bool = Field(
        default=False, description="use an adapter over other base weights than those it was trained on"
    )
    masks: bool = Field(default=True, description="guided by the item's masks, where it has some")
    options: GenerateOptions = Field(default=GenerateOptions(), description="sampling; seed and length come per item")


class DiffusersSystem(Options):
    """A pipeline of diffusers, called once per video."""

    pipeline: Literal["CogVideoXPipeline", "CogVideoXFunControlPipeline", "WanVACEPipeline"] = Field(
        description="class of diffusers"
    )
    weights: str = Field(description="catalog name, or folder of the pipeline in diffusers' layout")
    dtype: Literal["bf16", "fp16", "fp32"] = Field(default="bf16", description="type of weights and activations")
    height_px: int = Field(default=480, ge=16, multiple_of=16, description="px")
    width_px: int = Field(default=720, ge=16, multiple_of=16, description="px")
    frames: int = Field(default=49, ge=5, description="frames of a video, 8n + 1")
    fps: float = Field(default=8.0, gt=0, description="frames per second that the model was trained at")
    steps: int = Field(default=50, ge=1, description="denoising steps")
    guidance: float = Field(default=6.0, ge=1, description="classifier-free guidance on the text")
    dynamic_guidance: bool = Field(default=False, description="CogVideoX's use_dynamic_cfg (recommended with dpm)")
    scheduler: Literal["", "ddim", "dpm"] = Field(
        default="", description="sampler of a CogVideoX: ddim or dpm; empty: as published"
    )
    spacing: Literal["", "leading", "linspace", "trailing"] = Field(
        default="", description="which timesteps that sampler takes; empty: as published"
    )
    execution: KernelOptions = Field(default=KernelOptions(), description="kernels: other roundings, other speed")
    negative_prompt: str = Field(default="", description="what the text guidance leads away from")
    control: Literal["none", "filled", "outline"] = Field(
        default="none",
        description="control video drawn from the item's masks: white areas, or white outlines, on black",
    )
    offload: bool = Field(default=False, description="keep parts on the CPU while they are not used: less GPU memory")

    @model_validator(mode="after")
    def _check_control(self) -> "DiffusersSystem":
        if (self.pipeline == "CogVideoXPipeline") != (self.control == "none"):
            raise ValueError(f"pipeline {self.pipeline} and control {self.control!r}: only CogVideoXPipeline has none")
        if self.pipeline == "WanVACEPipeline" and (self.scheduler or self.spacing or self.dynamic_guidance):
            raise ValueError(
                "scheduler, spacing and dynamic_guidance are those of CogVideoX; WanVACEPipeline has its own"
            )
        if self.spacing and not self.scheduler:
            raise ValueError("spacing needs a scheduler: ddim or dpm")
        if self.frames % 8 != 1:
            raise ValueError(f"frames is {self.frames}; 8n + 1 wanted, such as 49 or 81")
        return self

    @property
    def seconds(self) -> float:
        """Length as the paper counts: 49 frames at 8 fps are 6 s."""
        return (self.frames - 1) / self.fps


class FolderSystem(Options):
    """Videos that are there already."""

    folder: str = Field(default="", description="where they lie; give it with --set folder.folder=PATH")
    names: tuple[str, ...] = Field(
        default=("{id}.mp4", "{prompt}-{seed}.mp4", "{prompt}.mp4"),
        min_length=1,
        description="file names to look for, in this order; {id}, {prompt}, {seed} are the item's",
    )
    seconds: float | None = Field(
        default=None, gt=0, description="length that its videos are said to have, s; files that differ are warned of"
    )


class SystemOptions(Options):
    """One system under test."""

    name: str = Field(default="", description="what manifests and tables call it; empty: the folder's name")
    mvideo: MVideoSystem | None = Field(default=None, description="this project's generation code")
    diffusers: DiffusersSystem | None = Field(default=None, description="a pipeline of diffusers")
    folder: FolderSystem | None = Field(default=None, description="videos that are there already")

    @model_validator(mode="after")
    def _one_kind(self) -> "SystemOptions":
        given = [kind for kind in ("mvideo", "diffusers", "folder") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"{' and '.join(given) or 'none'} given; exactly one of mvideo, diffusers, folder")
        if not self.name and self.folder is None:
            raise ValueError("name is empty; only a folder of videos is called by the folder's name")
        return self


def length_s(system: SystemOptions) -> float | None:
    """Seconds of the system's videos as its options say; None = as long as the masks, or not known."""
    if system.mvideo is not None:
        return system.mvideo.options.seconds
    return system.diffusers.seconds if system.diffusers is not None else None


def load_system(name: str, overrides: dict[str, Any] | None = None, folder: Path = SYSTEMS) -> SystemOptions:
    """A system by profile name or path. Raises ConfigError: no such system, or a value that is not allowed."""
    found = SystemOptions.of_profile(folder, name, overrides)
    if found.folder is None or found.name or not found.folder.folder:
        return found
    return found.model_copy(update={"name": Path(found.folder.folder).expanduser().absolute().name})
