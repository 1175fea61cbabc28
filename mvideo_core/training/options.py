"""All options of a training run; a profile is a YAML file of this form, and YAML is the only interface."""

from typing import Any, Self

from pydantic import Field, model_validator

from mvideo_core.base.options import Options
from mvideo_core.base.shipped import shipped_path
from mvideo_core.cogvideox.adapter import LoraOptions
from mvideo_core.cogvideox.adapter_header import CardOptions
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.training.callbacks.checkpoints import CheckpointOptions
from mvideo_core.training.callbacks.ema import EmaOptions
from mvideo_core.training.callbacks.samples import SampleOptions
from mvideo_core.training.callbacks.trackers import MetricOptions
from mvideo_core.training.callbacks.validation import ValidationOptions
from mvideo_core.training.distributed import DistributedOptions
from mvideo_core.training.draws import DrawOptions
from mvideo_core.training.execution import ExecutionOptions
from mvideo_core.training.launch import LaunchOptions
from mvideo_core.training.loop import OptimizerOptions
from mvideo_core.training.loss_weights import MaskLossOptions
from mvideo_core.training.losses import ConsistencyOptions
from mvideo_core.training.option_changes import BASE, flatten
from mvideo_core.training.sample_order import DataOptions

PROFILES = shipped_path("deployments/training")
COURSE = ("base", "lora", "draws", "mask_loss", "consistency", "optimizer", "ema")
"""Groups that determine the resulting weights."""
BASES = {"bf16": ("bf16", "fp32"), "fp32": ("fp32",)}
"""Base weight dtypes that each precision supports."""


class TrainOptions(Options):
    """One training run."""

    out: str = Field(
        default="", description="run folder: checkpoints, metrics, samples, report; an existing one resumes"
    )
    seed: int = Field(default=0, ge=0, description="seed of data order, noise, timesteps, dropout and new adapters")
    steps: int = Field(default=10_000, ge=1, description="optimizer steps; the paper trains 10,000")
    global_batch: int = Field(default=64, ge=1, description="samples per step over all processes; the paper's is 64")
    micro_batch: int = Field(
        default=1, ge=1, description="samples per forward pass on one GPU; the rest is accumulated"
    )
    allow: tuple[str, ...] = Field(
        default=(), description="names of options that may differ from the checkpoint's on resume"
    )
    skip_nonfinite: int = Field(
        default=0,
        ge=0,
        description="consecutive steps with non-finite loss or gradient that may be skipped, weights unchanged",
    )
    init_adapter: str = Field(
        default="", description="adapter to start from: a training output folder, or a plain CogVideoX LoRA"
    )
    base: BaseOptions = Field(default=BaseOptions(), description="The frozen CogVideoX.")
    data: DataOptions = Field(default=DataOptions(), description="Cached latents.")
    lora: LoraOptions = Field(default=LoraOptions(), description="Adapters.")
    draws: DrawOptions = Field(default=DrawOptions(), description="Condition dropout, noise, timesteps.")
    mask_loss: MaskLossOptions = Field(default=MaskLossOptions(), description="L_d inside and outside the mask.")
    consistency: ConsistencyOptions = Field(default=ConsistencyOptions(), description="L_c and its teacher.")
    optimizer: OptimizerOptions = Field(default=OptimizerOptions(), description="Adam and learning rate.")
    ema: EmaOptions = Field(default=EmaOptions(), description="Running mean of the weights.")
    execution: ExecutionOptions = Field(default=ExecutionOptions(), description="Speed and memory.")
    distributed: DistributedOptions = Field(default=DistributedOptions(), description="Processes.")
    validation: ValidationOptions = Field(default=ValidationOptions(), description="Fixed-noise loss.")
    samples: SampleOptions = Field(default=SampleOptions(), description="Validation videos.")
    metrics: MetricOptions = Field(default=MetricOptions(), description="metrics.jsonl and trackers.")
    checkpoints: CheckpointOptions = Field(
        default=CheckpointOptions(), description="When checkpoints are written, and how many are kept."
    )
    card: CardOptions = Field(default=CardOptions(), description="What the adapter's files say about it.")
    launch: LaunchOptions = Field(default=LaunchOptions(), description="Processes started by `mvideo train run`.")

    @model_validator(mode="after")
    def _types_fit(self) -> Self:
        """Matrix products in another dtype than the weights' need autocast, and fp16 gradients would need loss
        scaling.
        """
        if self.base.dtype not in BASES[self.execution.precision]:
            raise ValueError(
                f"execution.precision {self.execution.precision} does not train with base.dtype {self.base.dtype}; "
                "allowed: " + ", ".join(f"{precision} with {' or '.join(bases)}" for precision, bases in BASES.items())
            )
        return self

    def course(self) -> dict[str, Any]:
        """The options that determine the course of the run, as plain values by dotted name.

        Base weights, latents and the first adapter are left out: their content counts, not their names (`start.py`).
        `steps` is included only if the learning rate depends on it; a run with a constant rate may be extended.
        """
        values = flatten({name: getattr(self, name).model_dump(mode="json") for name in COURSE})
        del values[BASE]
        values |= {"seed": self.seed, "global_batch": self.global_batch, "data.holdout": self.data.holdout}
        values |= {"data.exclude": sorted(self.data.exclude), "execution.precision": self.execution.precision}
        if self.data.order != "permuted":  # absent in older runs
            values["data.order"] = self.data.order
        if self.execution.quantize != "none":  # absent in older runs
            values["execution.quantize"] = self.execution.quantize
        return values | ({"steps": self.steps} if self.optimizer.rate.shape != "constant" else {})


def load_profile(name: str, overrides: dict[str, Any] | None = None) -> TrainOptions:
    """Options of a training profile, with overrides; see `Options.of_profile`."""
    return TrainOptions.of_profile(PROFILES, name, overrides)
