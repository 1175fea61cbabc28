"""Aggregate rows into means per system and metric, with counts of missing and failed items."""

import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from mvideo_core.base.records import Record
from mvideo_core.evaluation.intervals import estimate_mean
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.suite import IntervalOptions
from mvideo_core.evaluation.video_facts import ItemFacts

RowStatus = Literal["ok", "missing", "failed", "inapplicable"]


class ScoreRow(Record):
    """One item scored by one metric.

    Attributes:
        status: missing = no video; failed = scoring failed; inapplicable = the item lacks an input of the metric.
        masks_sha256: digest of the masks it was compared with; "" for metrics without masks.
        sample_masks_sha256: digest of the sample's masks, before resampling to the system's grid; "" = none.
        score: the score file, relative to the results; "" = none.
    """

    test_set: str = ""
    system: str = ""
    variant: str = ""
    id: str
    metric: str
    status: RowStatus
    value: float | None = None
    details: dict[str, float] = {}
    n_frames: int = 0
    n_frames_skipped: int = 0
    n_frames_between: int = 0
    frames_sum: float = 0.0
    masks_sha256: str = ""
    sample_masks_sha256: str = ""
    score: str = ""
    error: str = ""
    message: str = ""

    @property
    def masks_named(self) -> frozenset[str]:
        """Digests of its masks and of the sample's masks; rows that share a digest belong to the same sample.

        Empty for metrics without masks.
        """
        return frozenset({self.masks_sha256, self.sample_masks_sha256} - {""})


class Aggregate(Record):
    """One metric over the videos of one system, in the metric's raw units.

    Attributes:
        mean: over videos (macro).
        low, high: confidence interval; None with fewer than six prompts.
        n_prompts: prompts of the scored videos.
        micro: mean over the frames of all videos, if the metric scores frames.
        n_frames: frames with a value, including missing frames, which count as 0.
        n_frames_skipped: frames the metric skips, such as those with an empty mask.
        n_frames_between: frames between two masks, in videos with a higher frame rate than their masks.
        details: means of the metric's additional numbers over videos.
        remark: caveat, printed next to the number.
    """

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    micro: float | None = None
    n: int = 0
    n_prompts: int = 0
    n_missing: int = 0
    n_failed: int = 0
    n_inapplicable: int = 0
    n_frames: int = 0
    n_frames_skipped: int = 0
    n_frames_between: int = 0
    details: dict[str, float] = {}
    remark: str = ""


class GroupKey(NamedTuple):
    """Key of the videos that are averaged together."""

    test_set: str
    system: str
    variant: str

    @property
    def short_title(self) -> str:
        """ "mvideo-5b, 12 s"; "" if nothing is given."""
        return title_of(self.system, self.variant)

    @property
    def title(self) -> str:
        """ "mvideo-5b, 12 s, complexmotion"."""
        return title_of(*self[1:], self.test_set) or "(unnamed)"


def title_of(*parts: str) -> str:
    """The parts that are not empty, as text for people: the stored variant "1 clips" becomes "1 clip"."""
    return re.sub(r"(?<![\w.])1 clips\b", "1 clip", ", ".join(filter(None, parts)))


def group_of(row: EvalItem | ScoreRow | ItemFacts) -> GroupKey:
    """The group of an item, of a row, or of the facts of a video."""
    return GroupKey(row.test_set, row.system, row.variant)


def cluster_of(item: EvalItem) -> str:
    """Unit of resampling in a test: the prompt, or the item if it has no prompt."""
    return f"prompt {item.prompt}" if item.prompt else f"id {item.id}"


def aggregate(rows: Sequence[ScoreRow], clusters: Sequence[str], options: IntervalOptions) -> Aggregate:
    """Mean, interval and counts of one metric over one group.

    Args:
        rows: rows of the group and metric.
        clusters: cluster of each row, see `cluster_of`.
    """
    scored = [(row, name) for row, name in zip(rows, clusters, strict=True) if row.status == "ok"]
    counts = {
        "n": len(scored),
        "n_missing": sum(row.status == "missing" for row in rows),
        "n_failed": sum(row.status == "failed" for row in rows),
        "n_inapplicable": sum(row.status == "inapplicable" for row in rows),
        "n_frames": sum(row.n_frames for row, _ in scored),
        "n_frames_skipped": sum(row.n_frames_skipped for row, _ in scored),
        "n_frames_between": sum(row.n_frames_between for row, _ in scored),
    }
    if not scored:
        return Aggregate(**counts)
    values = [row.value for row, _ in scored if row.value is not None]
    found = estimate_mean(values, [name for _, name in scored], options)
    total = math.fsum(row.frames_sum for row, _ in scored)
    return Aggregate(
        mean=found.mean,
        low=found.low,
        high=found.high,
        micro=total / counts["n_frames"] if counts["n_frames"] else None,
        details=_detail_means([row for row, _ in scored]),
        n_prompts=found.n_clusters,
        **counts,
    )


def _detail_means(rows: Sequence[ScoreRow]) -> dict[str, float]:
    """Mean of each additional number over the videos that have it."""
    names = sorted({name for row in rows for name in row.details})
    found = {name: [row.details[name] for row in rows if name in row.details] for name in names}
    return {name: math.fsum(values) / len(values) for name, values in found.items()}
