"""What every metric takes and gives."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from pydantic import ConfigDict

from mvideo_core.base.options import Options as AnyOptions
from mvideo_core.base.records import Record
from mvideo_core.base.registry import Registry
from mvideo_core.evaluation.video import EvalVideo


class VideoScore(Record):
    """One metric of one video.

    Attributes:
        value: in the metric's raw unit; `Metric.scale` brings it to the paper's tables.
        per_frame: one number per frame (or pair of frames) where the metric has them; None = it has none.
        n_between: frames with None because they are between two frames of what a slower reference wants; the other
            frames with None are skipped by the metric's policy.
        n_lost: frames that were wanted and that the video does not have; each counts 0 in `value`.
        details: further numbers under fixed names, such as "j", "f", "n_skipped", "n_frames".
        artifacts: small files worth keeping beside the number, by name ("predicted.masks"); base64 in JSON.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    value: float
    per_frame: tuple[float | None, ...] = ()
    n_between: int = 0
    n_lost: int = 0
    details: dict[str, float] = {}
    artifacts: dict[str, bytes] = {}


class SetScore(Record):
    """One metric over all videos of a system; `remark`: what the number's reader has to know, printed beside it."""

    value: float | None
    remark: str = ""


class Metric(ABC):
    """A plugin of METRICS: a file in `evaluation/metrics/`. Scores of a video do not depend on the other videos.

    Attributes:
        licence: of code and weights, as `mvideo eval ls` shows it.
        revision: raised when the same input would give another number; part of the cache key.
        needs: of "prompt", "masks", "source", "interventions": what an item must have to be scored.
        scale: raw value times this is what tables print (VBench's dimensions: 100).
        min_side_px: videos with a shorter side cannot be scored; validation tells before anything is loaded.
        min_frames: videos with fewer frames cannot be scored; validation tells before anything is loaded.
        memory_options: names of options that change memory or time and no score; not part of the cache key.
        weights_sha256: digest of the loaded weights; "" = the metric has none.
        set_level: a system's number is `of_set` of its videos' scores, not their mean.
    """

    Options: ClassVar[type[AnyOptions]]
    licence: ClassVar[str]
    revision: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset()
    scale: ClassVar[float] = 100.0
    min_side_px: int = 1
    min_frames: ClassVar[int] = 1
    memory_options: ClassVar[frozenset[str]] = frozenset()
    weights_sha256: str = ""
    set_level: ClassVar[bool] = False

    @classmethod
    def stands_in(cls, options: Any) -> bool:
        """Whether these options measure with a mini network, not the public one; the metric's name then gets mini_."""
        return False

    @classmethod
    @abstractmethod
    def load(cls, options: Any, device: str = "cpu") -> Self:
        """Ready metric. Raises ModelError: weights or an extra are absent; the harness writes "unavailable"."""

    @abstractmethod
    def score(self, video: EvalVideo) -> VideoScore:
        """The score of one video. Raises MediaError: this item is bad (the harness counts it as failed)."""

    @classmethod
    def of_set(cls, options: Any, scores: Sequence[VideoScore]) -> SetScore:
        """A system's number from the scores of its videos; only for `set_level`."""
        raise NotImplementedError(cls.__name__)


METRICS: Registry[type[Metric]] = Registry("metric", "mvideo_core.evaluation.metrics")
