"""A suite: its metrics, their options, and choices the paper leaves open. Profiles: deployments/evaluation."""

import re
from collections import Counter
from typing import Any, NamedTuple

from pydantic import ConfigDict, Field, model_validator

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.base.shipped import shipped_path
from mvideo_core.evaluation.base import METRICS, Metric

PROFILES = shipped_path("deployments/evaluation")

NOT_STATED = {
    "prompts": "which 100 prompts of VBench: no list that carries the paper's three dimensions has 100",
    "protocol": "VBench as for short videos, or VBench-Long, which its authors recommend from 5 s on",
    "videos_per_prompt": "how many videos (seeds) per prompt",
    "prompt_augmentation": "whether prompts were lengthened by a language model before generation",
    "segmenter": "which SAM2 checkpoint is used for S_m",
    "objects": "whether SAM2 gets one box per object or one around all of them",
    "empty_frames": "how S_m counts frames with an empty mask",
    "sampling": "sampler, timesteps and dynamic guidance, for its own models and the baselines",
}
"""Choices the paper does not state, by their names in a suite."""


class MetricInstance(Options):
    """One metric with its options and its name in the suite."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    metric: str = Field(description="name from `mvideo eval ls`")
    as_: str = Field(
        default="", alias="as", pattern=r"^[a-z0-9_]*$", description="name in results and tables; empty = the metric's"
    )
    options: dict[str, Any] = Field(default={}, description="options of the metric; empty = its defaults")

    @property
    def name(self) -> str:
        """Name in results."""
        return self.as_ or self.metric


MAX_DRAWS = 1_000_000
"""Maximum sign flips of one test; 40,000 flips with 100 prompts take about 0.1 s."""


class IntervalOptions(Options):
    """Options of confidence intervals and paired tests: sign flips of prompts (`intervals.py`)."""

    level: float = Field(
        default=0.95, gt=0.5, le=0.9999, description="confidence level; a difference is significant at p <= 1 - level"
    )
    draws: int = Field(
        default=9999,
        ge=99,
        le=MAX_DRAWS,
        description="flips drawn with more than 14 prompts; more if level or number of comparisons require it",
    )
    seed: int = Field(default=0, ge=0, description="seed of these draws; the same seed gives the same interval")


class SuiteOptions(Options):
    """A suite for `mvideo eval run`."""

    name: str = Field(default="suite", description="name of the suite in files and tables")
    metrics: tuple[MetricInstance, ...] = Field(min_length=1, description="metrics, each as {metric, as, options}")
    intervals: IntervalOptions = Field(default=IntervalOptions(), description="confidence intervals and tests")
    crop_bars: bool = Field(
        default=False,
        description="crop the black bars that all videos of a system have (letterboxing) before scoring",
    )
    choices: dict[str, str] = Field(
        default={}, description=f"choices the paper leaves open: {', '.join(NOT_STATED)}, or other names"
    )
    device: str = Field(default="", description="torch device for the metrics; empty = a GPU if available")

    @model_validator(mode="after")
    def _check_names(self) -> "SuiteOptions":
        name, n = Counter(one.name for one in self.metrics).most_common(1)[0]
        if n > 1:
            raise ValueError(f"{n} metrics are named {name!r}; give each a unique name with `as`")
        return self


class Prepared(NamedTuple):
    """A metric of a suite with checked options; nothing is loaded."""

    name: str
    kind: type[Metric]
    options: Options
    registered: str

    @property
    def inputs(self) -> frozenset[str]:
        """Inputs that determine the score: the video (or the source video if it is the subject) and the needs."""
        return self.kind.needs | {"source" if getattr(self.options, "subject", "") == "source" else "video"}

    @property
    def shuffled(self) -> bool:
        """Whether each video is compared with another video's masks (control)."""
        return getattr(self.options, "pairing", "") == "shuffled"


def load_suite(name: str, overrides: dict[str, Any] | None = None) -> SuiteOptions:
    """Load a suite by profile name or path. Raises ConfigError: unknown profile or invalid value."""
    return SuiteOptions.of_profile(PROFILES, name, overrides)


def says_mini(name: str) -> bool:
    """Whether "mini" is a word of a metric's name: in "mini_mask_miou", not in "gemini"."""
    return "mini" in re.split(r"[^a-z]+", name.lower())


def prepare(suite: SuiteOptions) -> list[Prepared]:
    """Classes and options of the suite's metrics. Metrics with a mini network always get a name with mini_.

    Raises:
        ConfigError: unknown metric or option, or a duplicate name.
    """
    found: list[Prepared] = []
    for one in suite.metrics:
        kind = METRICS.get(one.metric)
        options = kind.Options.parse(one.options, f"metric {one.name}")
        name = one.name if says_mini(one.name) or not kind.uses_mini_network(options) else f"mini_{one.name}"
        if name in {other.name for other in found}:
            raise ConfigError(
                f"two metrics are named {name!r} ({one.name!r} uses mini weights, so it gets that name); give "
                "each a unique name with `as`"
            )
        found.append(Prepared(name, kind, options, one.metric))
    return found
