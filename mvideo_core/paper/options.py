"""Options of `reproduce-paper`; a profile is a YAML file with these fields in deployments/paper."""

from typing import Any, Literal

from pydantic import Field, model_validator

from mvideo_core.base.options import Options
from mvideo_core.base.shipped import shipped_path
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.generation.options import GenerateOptions

PROFILES = shipped_path("deployments/paper")


class MaterialOptions(Options):
    """Videos of one workspace: a folder of real videos, or rendered ones."""

    workspace: str = Field(default="", description="finished workspace to use as is; empty = build one")
    folder: str = Field(default="", description="folder of videos; empty = render them")
    videos: int = Field(default=4, ge=1, description="number of videos to render")
    seed: int = Field(default=0, ge=0, description="seed of the first rendered video")
    split: Literal["train", "val", "heldout"] = Field(default="heldout", description="split of the mini world")
    unseen_frac: float | None = Field(
        default=None, ge=0, le=1, description="fraction of shots with an unseen class; empty = the split's default"
    )
    shots: int | None = Field(default=None, ge=1, description="shots per rendered video; empty = 3 to 5, by seed")
    objects_csv: str = Field(default="", description="ComplexMotion with real videos: table of files and objects")
    pipeline: dict[str, Any] = Field(default_factory=dict, description="overrides of the pipeline profile")


class TestOptions(Options):
    """How many videos are generated and scored."""

    prompts: int = Field(default=24, ge=2, description="number of prompts of tables 2, 4 and 5")
    prompts_file: str = Field(default="", description="one prompt per line; empty = captions of held-out shots")
    samples: int = Field(default=12, ge=2, description="maximum samples of each mask test set (table 3)")
    sample_clips: int = Field(default=3, ge=1, description="clips generated with each sample's masks")
    min_area_frac: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="minimum mask area on the first frame, fraction of the frame; smaller samples are dropped",
    )
    seed: int = Field(default=0, ge=0, description="seed of samples and noise")


class FigureOptions(Options):
    """One `mvideo masks recipe`."""

    inputs: dict[str, str] = Field(description="input -> SET:NUMBER of a test set, or mask file")
    prompts: dict[str, list[str]] = Field(
        default_factory=dict, description="variant -> prompts that replace the recipe's (the mini base knows few words)"
    )


class PaperOptions(Options):
    """All options of `reproduce-paper`."""

    pipeline: str = Field(default="mini", description="pipeline profile for the datasets")
    training: str = Field(default="mini", description="training profile")
    training_overrides: dict[str, Any] = Field(default_factory=dict, description="overrides of the training profile")
    base: BaseOptions = Field(default=BaseOptions(dtype="fp32"), description="CogVideoX model to train and compare")
    max_stretch: float = Field(
        default=0.02, ge=0, description="allowed aspect-ratio difference between clips and model; see `mvideo encode`"
    )
    train: MaterialOptions = Field(default=MaterialOptions(split="train", videos=20), description="training videos")
    unseen: MaterialOptions = Field(
        default=MaterialOptions(seed=1000, unseen_frac=1.0), description="videos of Mask-to-Video: unseen classes"
    )
    complex: MaterialOptions = Field(
        default=MaterialOptions(seed=2000), description="videos of ComplexMotion; rendered: those with its actions"
    )
    complex_actions: tuple[str, ...] = Field(
        default=("jumping jack", "cartwheel", "run", "wave", "squat"), description="human actions to include"
    )
    tables: tuple[Literal["2", "3", "4", "5"], ...] = Field(
        default=("2", "3", "4", "5"), min_length=1, description="tables of the paper; only their videos are generated"
    )
    test_sets: tuple[Literal["mask-to-video", "complexmotion"], ...] = Field(
        default=("mask-to-video", "complexmotion"), description="mask test sets of table 3"
    )
    alphas: tuple[float, ...] = Field(
        default=(0.0, 1.0), min_length=1, description="weights of the consistency loss; one training run per weight"
    )
    alpha: float = Field(default=1.0, ge=0, description="which of `alphas` to report in tables 2, 3 and 5")
    tests: TestOptions = Field(default=TestOptions(), description="Sizes of the test sets.")
    sampling: GenerateOptions = Field(default=GenerateOptions(), description="Sampling options for all videos.")
    lengths_clips: tuple[int, ...] = Field(
        default=(1, 2, 3, 4), min_length=1, description="lengths of table 5, in clips; the paper uses 4, 8, 12, 16 s"
    )
    table2_clips: int = Field(default=3, ge=1, description="length of MVideo in table 2, in clips; the paper uses 12 s")
    table4_clips: int = Field(default=2, ge=1, description="length in table 4, in clips; the paper uses 8 s")
    processes: int = Field(
        default=1, ge=1, description="parallel processes for rendering and, without a GPU, for generation"
    )
    suite: str = Field(default="mini", description="metric suite; see `mvideo eval ls`")
    figures: dict[str, FigureOptions] = Field(
        default_factory=dict, description="recipe -> inputs and prompts for figures 4 to 9"
    )

    @model_validator(mode="after")
    def _check_ablation(self) -> "PaperOptions":
        if self.alpha not in self.alphas:
            raise ValueError(f"alphas is {self.alphas}; it must include alpha, {self.alpha:g}")
        if "4" in self.tables and (0.0 not in self.alphas or len(self.alphas) < 2):
            raise ValueError(f"alphas is {self.alphas}; table 4 needs 0 (without the loss) and another weight")
        return self


def load_profile(name: str, overrides: dict[str, Any] | None = None) -> PaperOptions:
    """Options of a profile with overrides applied; see `Options.of_profile`."""
    return PaperOptions.of_profile(PROFILES, name, overrides)
