"""Which metrics are run, how, and what was decided where the paper is silent. Profiles: deployments/evaluation."""

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
    "protocol": "VBench as it is for short videos, or VBench-Long, which its authors ask for from 5 s on",
    "videos_per_prompt": "how many videos (seeds) per prompt",
    "prompt_augmentation": "whether prompts were lengthened by a language model before generation",
    "segmenter": "which SAM2 checkpoint measures S_m",
    "objects": "whether SAM2 gets one box per object or one around all of them",
    "empty_frames": "what S_m does with frames whose mask is empty",
    "sampling": "sampler, timesteps and dynamic guidance, of its own models and of the baselines",
}
"""What the paper does not say, by the name under which a suite decides it."""


class MetricInstance(Options):
    """One metric with its options, under a name of its own."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    metric: str = Field(description="name from `mvideo eval ls`")
    as_: str = Field(
        default="", alias="as", pattern=r"^[a-z0-9_]*$", description="name in results and tables; empty = the metric's"
    )
    options: dict[str, Any] = Field(default={}, description="options of the metric; empty = its defaults")

    @property
    def name(self) -> str:
        """What results call it."""
        return self.as_ or self.metric


MAX_DRAWS = 1_000_000
"""Sign flips of one test, about 0.1 s for 40,000 of them with 100 prompts."""


class IntervalOptions(Options):
    """Confidence intervals of means and the paired test: sign flips of prompts (`sign_flips`)."""

    level: float = Field(
        default=0.95, gt=0.5, le=0.9999, description="confidence; a difference is called one at p <= 1 - level"
    )
    draws: int = Field(
        default=9999,
        ge=99,
        le=MAX_DRAWS,
        description="flips tried with more than 14 prompts; more are where level or number of comparisons need them",
    )
    seed: int = Field(default=0, ge=0, description="of those draws; same seed, same interval")


class SuiteOptions(Options):
    """What `mvideo eval run` measures."""

    name: str = Field(default="suite", description="what files and tables call this suite")
    metrics: tuple[MetricInstance, ...] = Field(min_length=1, description="metrics, each as {metric, as, options}")
    intervals: IntervalOptions = Field(default=IntervalOptions(), description="confidence intervals and tests")
    crop_bars: bool = Field(
        default=False,
        description="score the picture without the black bars that all videos of a system have (letterboxing)",
    )
    choices: dict[str, str] = Field(
        default={}, description=f"what was decided where the paper is silent: {', '.join(NOT_STATED)}, or other names"
    )
    device: str = Field(default="", description="torch device of the metrics; empty = a GPU when there is one")

    @model_validator(mode="after")
    def _check_names(self) -> "SuiteOptions":
        name, n = Counter(one.name for one in self.metrics).most_common(1)[0]
        if n > 1:
            raise ValueError(f"{n} metrics are called {name!r}; give each its own name with `as`")
        return self


class Prepared(NamedTuple):
    """A metric of a suite whose options are checked; nothing is loaded."""

    name: str
    kind: type[Metric]
    options: Options
    registered: str

    @property
    def inputs(self) -> frozenset[str]:
        """What of an item decides the score: the video, or the source video where that is the subject; the needs."""
        return self.kind.needs | {"source" if getattr(self.options, "subject", "") == "source" else "video"}

    @property
    def shuffled(self) -> bool:
        """Whether each video is measured against the masks of another one (control)."""
        return getattr(self.options, "pairing", "") == "shuffled"


def load_suite(name: str, overrides: dict[str, Any] | None = None) -> SuiteOptions:
    """A suite by profile name or path. Raises ConfigError: no such profile, or a value that is not allowed."""
    return SuiteOptions.of_profile(PROFILES, name, overrides)


def prepare(suite: SuiteOptions) -> list[Prepared]:
    """Classes and options of the suite's metrics. What a mini network judges is called mini_, whatever the suite says.

    Raises:
        ConfigError: a metric that does not exist, an option it does not have, or two of one name.
    """
    found: list[Prepared] = []
    for one in suite.metrics:
        kind = METRICS.get(one.metric)
        options = kind.Options.parse(one.options, f"metric {one.name}")
        name = f"mini_{one.name}" if "mini" not in one.name and kind.stands_in(options) else one.name
        if name in {other.name for other in found}:
            raise ConfigError(
                f"two metrics are called {name!r} ({one.name!r} is judged by mini weights, so it gets that name); give "
                "each its own name with `as`"
            )
        found.append(Prepared(name, kind, options, one.metric))
    return found
