"""Count the rows of all stages for the report. One pass, part by part; memory does not grow with the dataset."""

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import (
    PLANNED_ROWS,
    CaptionRow,
    ClipRow,
    DetectionRow,
    MaskRow,
    Row,
    ShardPlanRow,
    ShardRow,
)
from mvideo_core.engine import STAGES
from mvideo_core.engine.chain import chain, expands, unit_of
from mvideo_core.engine.stage import Chart
from mvideo_core.pages.data_report.data import (
    DropExample,
    FunnelStep,
    Histogram,
    ListedEntry,
    ReportOptions,
    check_funnel,
)

MAX_LISTED = 500
"""Maximum list entries on the page."""


class Bins:
    """A histogram being filled: `n_bins` equal bins over [low, high].

    Args:
        name, unit: for the page.
        low, high: range of the bins; values outside are counted separately.
    """

    def __init__(self, name: str, unit: str, low: float, high: float, n_bins: int):
        self.name, self.unit, self.low, self.high = name, unit, low, high
        self.counts = [0] * n_bins
        self.below = self.above = self.total = 0
        self.sum, self.least, self.most = 0.0, math.inf, -math.inf
        self.limits: set[float] = set()

    def add(self, value: float) -> None:
        """Count one value; NaN is a programming error upstream and raises ValueError."""
        if math.isnan(value):
            raise ValueError(f"{self.name}: NaN")
        self.total += 1
        self.sum += value
        self.least, self.most = min(self.least, value), max(self.most, value)
        if value < self.low:
            self.below += 1
        elif value > self.high:
            self.above += 1
        else:
            place = int((value - self.low) / (self.high - self.low) * len(self.counts))
            self.counts[min(place, len(self.counts) - 1)] += 1

    def histogram(self) -> Histogram:
        """The counts as a record."""
        width = (self.high - self.low) / len(self.counts)
        known = {"mean": self.sum / self.total, "least": self.least, "most": self.most} if self.total else {}
        return Histogram(
            name=self.name, unit=self.unit, edges=[self.low + n * width for n in range(len(self.counts) + 1)],
            counts=self.counts, below=self.below, above=self.above, total=self.total,
            limits=sorted(self.limits), **known,
        )  # fmt: skip


def _bins() -> dict[str, Bins]:
    return {
        "clip_s": Bins("Clip length", "s", 0, 40, 20),
        "shots": Bins("Clips kept per video", "clips", 0, 20, 20),
        "objects": Bins("Objects kept per clip", "objects", 0, 20, 20),
        "score": Bins("Detection score", "", 0, 1, 20),
        "area": Bins("Mean mask area, fraction of the frame", "", 0, 0.5, 20),
        "visible": Bins("Fraction of frames with the object visible", "", 0, 1, 20),
        "drift": Bins("Drift: 1 - IoU of consecutive masks", "", 0, 1, 20),
        "trust": Bins("Mean trust of an object: predicted IoU with the truth", "", 0, 1, 20),
        "words": Bins("Words per caption", "words", 0, 200, 20),
    }


@dataclass
class _StageCounts:
    kept: int = 0
    rows: int = 0
    parents: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


class ReportCounter:
    """Counts rows, one part of one stage at a time, parts in any order.

    Args:
        options: number of examples and gallery items, seed.
    """

    def __init__(self, options: ReportOptions):
        self.options = options
        self.labels: Counter[str] = Counter()
        self._stages: dict[str, _StageCounts] = {}
        self._bins = _bins()
        self._charts: dict[str, list[tuple[Chart, Bins]]] = {}
        self._listed: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], list[DropExample]] = {}
        self._gallery = GalleryChoice(options.gallery_items, options.seed)

    def add_part(self, stage: str, rows: Iterable[Row]) -> None:
        """Count all rows of one part. A stage that expands must put all rows of a parent in one part.

        Raises:
            ConfigError: unknown stage.
        """
        if stage not in chain():
            raise ConfigError(f"unknown stage {stage!r}; known: {', '.join(chain())}")
        counts = self._stages.setdefault(stage, _StageCounts())
        per_parent: Counter[str] = Counter()
        for row in rows:
            weight = _weight(row)
            counts.rows += weight
            per_parent[row.parent] += row.status == "ok"
            for chart, bins in self._charts_of(stage):
                if (measured := chart.value(row)) is not None:
                    bins.add(measured.value)
                    bins.limits.update(measured.limits)
            if isinstance(row, MaskRow):
                self._add_trust(row)
            if row.status == "ok":
                counts.kept += weight
                self._measure(row)
            else:
                (counts.filtered if row.status == "filtered" else counts.failed)[_why(row)] += weight
                self._example(stage, row)
            if isinstance(row, ShardPlanRow) and row.entry:
                self._listed[_why(row), row.entry] += 1
        if expands(stage):
            counts.parents += len(per_parent)
            for n_kept in per_parent.values():
                self._bins["shots"].add(n_kept)

    def funnel(self, entered: int | None = None, pending_parents: Mapping[str, int] | None = None) -> list[FunnelStep]:
        """The steps in stage order, checked to add up. Stages with no rows or parts are left out.

        Args:
            entered: items in the sources; None = rows of the first stage.
            pending_parents: stage -> items whose part is not finished. A stage that expands cannot distinguish these
                from items without rows; items not counted here are treated as empty.

        Raises:
            StoreError: the rows do not account for every item.
        """
        steps: list[FunnelStep] = []
        for stage in chain():
            counts = self._stages.get(stage)
            if counts is None:
                continue
            came = steps[-1].kept if steps else (counts.rows if entered is None else entered)
            pending = (pending_parents or {}).get(stage, 0)
            many = expands(stage)
            empty = max(0, came - pending - counts.parents) if many else 0
            steps.append(
                FunnelStep(
                    stage=stage, unit=unit_of(stage), entered=came, pending=pending, rows=counts.rows, expands=many,
                    empty=empty, kept=counts.kept, filtered=dict(sorted(counts.filtered.items())),
                    failed=dict(sorted(counts.failed.items())),
                )
            )  # fmt: skip
        check_funnel(steps)
        return steps

    def histograms(self) -> list[Histogram]:
        """All non-empty histograms."""
        declared = [bins for stage in chain() for _, bins in self._charts.get(stage, ())]
        return [bins.histogram() for bins in [*self._bins.values(), *declared] if bins.total]

    def examples(self) -> list[DropExample]:
        """A few items per stage and reason, independent of the order of parts."""
        return [example for place in sorted(self._examples) for example in self._examples[place]]

    def list_entries(self) -> list[ListedEntry]:
        """Entries of removal and held-out lists, those that excluded the most samples first."""
        ordered = sorted(self._listed.items(), key=lambda one: (-one[1], one[0]))[:MAX_LISTED]
        return [ListedEntry(reason=reason, entry=entry, samples=count) for (reason, entry), count in ordered]

    def gallery_keys(self) -> list[str]:
        """Clips for the gallery, every class at least once if there is room."""
        return self._gallery.choice()

    def _charts_of(self, stage: str) -> list[tuple[Chart, Bins]]:
        """The histograms that a stage declares, with what was counted so far."""
        if stage not in self._charts:
            charts = () if stage in PLANNED_ROWS else STAGES.get(stage).charts()
            self._charts[stage] = [(one, Bins(one.title, one.unit, one.low, one.high, 20)) for one in charts]
        return self._charts[stage]

    def _measure(self, row: Row) -> None:
        if isinstance(row, ClipRow) and row.fps:
            self._bins["clip_s"].add(row.n_frames / row.fps)
        elif isinstance(row, DetectionRow):
            for score in row.scores:
                self._bins["score"].add(score)
        elif isinstance(row, MaskRow):
            kept = [one for one in row.objects if one.kept]
            self._bins["objects"].add(len(kept))
            for one in kept:
                self._bins["area"].add(one.mean_area_frac)
                self._bins["visible"].add(one.visible_frac)
                self._bins["drift"].add(one.drift)
            self.labels.update(one.label for one in kept)
            self._gallery.add(row.key, {one.label for one in kept})
        elif isinstance(row, CaptionRow):
            self._bins["words"].add(row.n_words)

    def _add_trust(self, row: MaskRow) -> None:
        """Trust of all objects, dropped ones included, and the gate's limit."""
        for trust, one in zip(row.trust, row.objects, strict=True) if row.trust else ():
            self._bins["trust"].add(trust.mean)
            if one.drop_reason == "low_trust" and one.drop_threshold is not None:
                self._bins["trust"].limits.add(one.drop_threshold)

    def _example(self, stage: str, row: Row) -> None:
        example = DropExample(
            stage=stage, key=row.key, why=_why(row), value=row.value, threshold=row.threshold, message=row.message or ""
        )
        held = self._examples.setdefault((stage, example.why), [])
        held.append(example)
        held.sort(key=lambda one: one.key)
        del held[self.options.examples :]


class GalleryChoice:
    """Picks a fixed number of keys from a stream: the lowest seeded hash of every class, then the lowest overall.

    Args:
        n_items: number of keys.
        seed: seed of the hash.
    """

    def __init__(self, n_items: int, seed: int):
        self.n_items, self.seed = n_items, seed
        self._by_label: dict[str, tuple[int, str]] = {}
        self._first: list[tuple[int, str]] = []  # heap of negated hashes: its top is removed first

    def add(self, key: str, labels: Iterable[str]) -> None:
        """Offer a key."""
        if not self.n_items:
            return
        draw = int.from_bytes(hashlib.sha256(f"{self.seed}/{key}".encode()).digest()[:6], "big")
        for label in labels:
            if label not in self._by_label or (draw, key) < self._by_label[label]:
                self._by_label[label] = (draw, key)
        if len(self._first) < self.n_items:
            heapq.heappush(self._first, (-draw, key))
        else:
            heapq.heappushpop(self._first, (-draw, key))

    def choice(self) -> list[str]:
        """The chosen keys, sorted."""
        chosen = [key for _, key in sorted(set(self._by_label.values()))][: self.n_items]
        for _, key in sorted(self._first, reverse=True):
            if len(chosen) >= self.n_items:
                break
            if key not in chosen:
                chosen.append(key)
        return sorted(chosen)


def _why(row: Row) -> str:
    return (row.reason if row.status == "filtered" else row.error) or "not stated"


def _weight(row: Row) -> int:
    """Number of items a row represents: a planned or written shard counts as its samples."""
    if isinstance(row, ShardPlanRow | ShardRow) and row.status == "ok":
        return len(row.samples)
    return 1
