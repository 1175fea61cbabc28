"""What `reproduce-paper` makes and how much of it; a profile is a YAML file of this shape in deployments/paper."""

from typing import Any, Literal

from pydantic import Field, model_validator

from mvideo_core.base.options import Options
from mvideo_core.base.shipped import shipped_path
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.generation.options import GenerateOptions

PROFILES = shipped_path("deployments/paper")


class MaterialOptions(Options):
    """Videos of one workspace: a folder of real ones, or drawn ones."""

    workspace: str = Field(default="", description="finished workspace to use as it is; empty = make one")
    folder: str = Field(default="", description="folder of videos; empty = draw them")
    videos: int = Field(default=4, ge=1, description="drawn videos")
    seed: int = Field(default=0, ge=0, description="seed of the first drawn video")
    split: Literal["train", "val", "heldout"] = Field(default="heldout", description="of the drawn world")
    unseen_frac: float | None = Field(
        default=None, ge=0, le=1, description="drawn shots with an unseen class; empty = the split's own share"
    )
    shots: int | None = Field(default=None, ge=1, description="shots a drawn video; empty = 3 to 5 by seed")
    objects_csv: str = Field(default="", description="ComplexMotion of real videos: table of file and objects")
    pipeline: dict[str, Any] = Field(default_factory=dict, description="values over the pipeline profile")


class TestOptions(Options):
    """How many videos are made and judged."""

    prompts: int = Field(default=24, ge=2, description="texts of tables 2, 4 and 5")
    prompts_file: str = Field(default="", description="one text a line; empty = captions of held-out drawn shots")
    samples: int = Field(default=12, ge=2, description="samples of each mask test set (table 3), at most")
    sample_clips: int = Field(default=3, ge=1, description="clips generated under each sample's masks")
    min_area_frac: float = Field(
        default=0.02, ge=0, le=1, description="smallest mask on the first frame, of the frame; smaller samples are out"
    )
    seed: int = Field(default=0, ge=0, description="of draws and of the noise")


class FigureOptions(Options):
    """One recipe of `mvideo masks recipe`."""

    inputs: dict[str, str] = Field(description="input -> SET:NUMBER of a test set, or a mask file")
    prompts: dict[str, list[str]] = Field(
        default_factory=dict, description="variant -> texts instead of the recipe's own (the mini base knows few words)"
    )


class PaperOptions(Options):
    """The whole of `reproduce-paper`."""

    pipeline: str = Field(default="mini", description="run profile of the data half")
    training: str = Field(default="mini", description="training profile")
    training_overrides: dict[str, Any] = Field(default_factory=dict, description="values over the training profile")
    base: BaseOptions = Field(default=BaseOptions(dtype="fp32"), description="CogVideoX that is trained and compared")
    max_stretch: float = Field(
        default=0.02, ge=0, description="allowed difference of the shapes of clips and model; see `mvideo encode`"
    )
    train: MaterialOptions = Field(default=MaterialOptions(split="train", videos=20), description="training videos")
    unseen: MaterialOptions = Field(
        default=MaterialOptions(seed=1000, unseen_frac=1.0), description="videos of Mask-to-Video: unseen classes"
    )
    complex: MaterialOptions = Field(
        default=MaterialOptions(seed=2000), description="videos of ComplexMotion; of drawn ones those with its actions"
    )
    complex_actions: tuple[str, ...] = Field(
        default=("jumping jack", "cartwheel", "run", "wave", "squat"), description="actions of persons that count"
    )
    tables: tuple[Literal["2", "3", "4", "5"], ...] = Field(
        default=("2", "3", "4", "5"), min_length=1, description="tables of the paper; only their videos are made"
    )
    test_sets: tuple[Literal["mask-to-video", "complexmotion"], ...] = Field(
        default=("mask-to-video", "complexmotion"), description="mask test sets of table 3"
    )
    alphas: tuple[float, ...] = Field(
        default=(0.0, 1.0), min_length=1, description="weights of the consistency loss: one training each"
    )
    alpha: float = Field(default=1.0, ge=0, description="the one of `alphas` whose model stands in tables 2, 3 and 5")
    tests: TestOptions = Field(default=TestOptions(), description="Sizes of the test sets.")
    sampling: GenerateOptions = Field(default=GenerateOptions(), description="Sampling of every video.")
    lengths_clips: tuple[int, ...] = Field(
        default=(1, 2, 3, 4), min_length=1, description="lengths of table 5, clips; the paper's 4, 8, 12, 16 s"
    )
    table2_clips: int = Field(default=3, ge=1, description="length of MVideo in table 2, clips; the paper's 12 s")
    table4_clips: int = Field(default=2, ge=1, description="length in table 4, clips; the paper's 8 s")
    processes: int = Field(
        default=1, ge=1, description="`mvideo reproduce`: videos drawn, and jobs of videos made, side by side on a CPU"
    )
    suite: str = Field(default="mini", description="suite of metrics; see `mvideo eval ls`")
    figures: dict[str, FigureOptions] = Field(
        default_factory=dict, description="recipe -> its inputs and prompts: the galleries of figures 4 to 9"
    )

    @model_validator(mode="after")
    def _check_ablation(self) -> "PaperOptions":
        if self.alpha not in self.alphas:
            raise ValueError(f"alphas are {self.alphas}; they must hold alpha, which is {self.alpha:g}")
        if "4" in self.tables and (0.0 not in self.alphas or len(self.alphas) < 2):
            raise ValueError(f"alphas are {self.alphas}; table 4 compares 0 (without the loss) with others")
        return self


def load_profile(name: str, overrides: dict[str, Any] | None = None) -> PaperOptions:
    """Options of a profile, with overrides on top; see `Options.of_profile`."""
    return PaperOptions.of_profile(PROFILES, name, overrides)
