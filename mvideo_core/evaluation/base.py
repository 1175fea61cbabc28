"""Interface of metrics: input, output, plugin registry."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from pydantic import ConfigDict

from mvideo_core.base.options import Options as AnyOptions
from mvideo_core.base.records import Record
from mvideo_core.base.registry import Registry
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.media.probe import MediaInfo


class VideoScore(Record):
    """One metric's score of one video.

    Attributes:
        value: in the metric's raw units; times `Metric.scale` gives the units of the paper's tables.
        per_frame: one number per frame (or pair of frames); None = the metric has none.
        n_between: frames with None because they fall between two frames of a slower reference; the metric skips the
            other frames with None by policy.
        n_lost: reference frames that the video does not have; each counts as 0 in `value`.
        details: additional numbers with fixed names, such as "j", "f", "n_skipped", "n_frames".
        artifacts: small files to keep with the score, by name ("predicted.masks"); base64 in JSON.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    value: float
    per_frame: tuple[float | None, ...] = ()
    n_between: int = 0
    n_lost: int = 0
    details: dict[str, float] = {}
    artifacts: dict[str, bytes] = {}


class SetScore(Record):
    """One metric over all videos of a system; `remark`: caveat, printed next to the number."""

    value: float | None
    remark: str = ""


class Metric(ABC):
    """A plugin of METRICS: a file in `evaluation/metrics/`. A video's score does not depend on other videos.

    Attributes:
        license: license of code and weights, shown by `mvideo eval ls`.
        revision: incremented when the same input gives a different number; part of the cache key.
        needs: inputs an item must have to be scored, out of "prompt", "masks", "source", "interventions".
        scale: factor from raw values to the values in tables (VBench's dimensions: 100).
        min_side_px: videos with a shorter side cannot be scored; validation reports them before loading anything.
        min_frames: videos with fewer frames cannot be scored; validation reports them before loading anything.
        memory_options: names of options that change memory or time but no score; not part of the cache key.
        weights_sha256: digest of the loaded weights; "" = the metric has none.
        set_level: a system's score is `of_set` of its videos' scores, not their mean.
    """

    Options: ClassVar[type[AnyOptions]]
    license: ClassVar[str]
    revision: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset()
    scale: ClassVar[float] = 100.0
    min_side_px: int = 1
    min_frames: ClassVar[int] = 1
    memory_options: ClassVar[frozenset[str]] = frozenset()
    weights_sha256: str = ""
    set_level: ClassVar[bool] = False

    @classmethod
    def uses_mini_network(cls, options: Any) -> bool:
        """Whether these options use a mini network instead of the public one; the metric's name then gets mini_."""
        return False

    @classmethod
    @abstractmethod
    def load(cls, options: Any, device: str = "cpu") -> Self:
        """Load the metric. Raises ModelError: weights or an extra are missing; the harness records "unavailable"."""

    @classmethod
    def find_problems(cls, video: EvalVideo, info: MediaInfo, options: Any) -> list[str]:
        """Why `score` would fail, if the metric's other attributes do not already say so; loads no network.

        Args:
            video: an item with every input that the metric needs.
            info: about its file.
        """
        return []

    @abstractmethod
    def score(self, video: EvalVideo) -> VideoScore:
        """Score one video. Raises MediaError: this item is bad (the harness counts it as failed)."""

    @classmethod
    def of_set(cls, options: Any, scores: Sequence[VideoScore]) -> SetScore:
        """Score a system from its videos' scores; only for `set_level`."""
        raise NotImplementedError(cls.__name__)


METRICS: Registry[type[Metric]] = Registry("metric", "mvideo_core.evaluation.metrics")
