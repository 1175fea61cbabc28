"""A system's control in numbers, each with a bootstrap interval over prompts, and S_m between chance and ceiling.

Ratios are of sums over items, not means of ratios. Intervals are percentiles of BOOTSTRAPS draws of whole prompts with
replacement, from MIN_CLUSTERS prompts on. They describe one system; `mvideo eval compare` tests whether two systems
differ.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mvideo_core.base.records import Record
from mvideo_core.evaluation.aggregate import GroupKey, ScoreRow, cluster_of, group_of
from mvideo_core.evaluation.intervals import MIN_CLUSTERS
from mvideo_core.evaluation.layout import markdown_table
from mvideo_core.evaluation.result import LoadedResult, MetricFacts

BOOTSTRAPS = 2000
LEAST = 1e-9
"""A ratio is undefined if its denominator is not above this."""
METRIC = "control_response"
PARTS = {
    "control": "control",
    "gain": "gain",
    "lag_frames": "lag, frames",
    "leakage": "leakage",
    "identity": "identity",
    "outline": "outline",
    "miou_normalized": "mIoU, normalized",
}


class Interval(Record):
    """A number over items; without an interval if there are too few prompts. `n`: items it is computed from."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int

    @property
    def text(self) -> str:
        """ "0.912 [0.880, 0.941]"."""
        ends = f" [{self.low:.3f}, {self.high:.3f}]" if self.low is not None and self.high is not None else ""
        return f"{self.value:.3f}{ends}"


class SystemControl(Record):
    """One system under one metric of a suite.

    Attributes:
        metric: name in the suite.
        parts: by names of PARTS, and gain_<edit>; of S_m: "normalized", "own", "chance", "ceiling".
    """

    test_set: str
    system: str
    variant: str
    metric: str
    n: int
    n_prompts: int
    parts: dict[str, Interval]

    @property
    def title(self) -> str:
        """ "ours, 8 s"."""
        return GroupKey(self.test_set, self.system, self.variant).title


class _Sums(NamedTuple):
    """One item's part of a ratio: numerator, denominator, prompt."""

    above: float
    below: float
    cluster: str


def summarize_control(loaded: LoadedResult) -> tuple[SystemControl, ...]:
    """Every system under every control_response of the suite."""
    clusters = {(group_of(item), item.id): cluster_of(item) for item in loaded.items}
    found = []
    for name, facts in loaded.result.metrics.items():
        if facts.metric != METRIC:
            continue
        for key, rows in _score_rows(loaded, name).items():
            sums = {part: [_part(row, part, clusters[key, row.id]) for row in rows] for part in _part_names(rows)}
            found.append(_system(loaded, key, name, rows, sums, clusters))
    return tuple(found)


def normalize_miou(loaded: LoadedResult) -> tuple[SystemControl, ...]:
    """S_m between shuffled masks (0) and the source video (1), if a suite has all three with one judge.

    Computed over the items that have all three; the ratio of the sums of (own - shuffled) and (source - shuffled).
    """
    clusters = {(group_of(item), item.id): cluster_of(item) for item in loaded.items}
    found = []
    for name, (shuffled, source) in _triples(loaded.result.metrics).items():
        chance, ceiling = _score_rows(loaded, shuffled), _score_rows(loaded, source)
        for key, rows in _score_rows(loaded, name).items():
            low = {row.id: row.value for row in chance.get(key, ())}
            top = {row.id: row.value for row in ceiling.get(key, ())}
            kept = [row for row in rows if row.id in low and row.id in top]
            sums: dict[str, list[_Sums | None]] = {part: [] for part in ("normalized", "own", "chance", "ceiling")}
            for row in kept:
                own, bottom, best = (float(one or 0.0) for one in (row.value, low[row.id], top[row.id]))
                cluster = clusters[key, row.id]
                sums["normalized"].append(_Sums(own - bottom, best - bottom, cluster))
                for part, value in (("own", own), ("chance", bottom), ("ceiling", best)):
                    sums[part].append(_Sums(value, 1.0, cluster))
            if kept:
                found.append(_system(loaded, key, name, kept, sums, clusters))
    return tuple(found)


def control_markdown(loaded: LoadedResult) -> str:
    """The tables of a result; "" if it has neither."""
    systems, normalized = summarize_control(loaded), normalize_miou(loaded)
    level = f"{100 * loaded.result.suite.intervals.level:g}%"
    note = f"In brackets: {level} bootstrap intervals over prompts, from {MIN_CLUSTERS} prompts on. docs/control.md"
    parts = []
    if systems:
        lines = [[one.title, one.metric, str(one.n), *(_cell(one, part) for part in PARTS)] for one in systems]
        parts += ["## Control", markdown_table(["System", "Metric", "n", *PARTS.values()], lines)]
        edits = list(dict.fromkeys(part for one in systems for part in one.parts if part.startswith("gain_")))
        lines = [[one.title, one.metric, *(_cell(one, part) for part in edits)] for one in systems]
        heads = [part.removeprefix("gain_") for part in edits]
        parts += ["Gain of each edit (drop: the share that is gone):"]
        parts += [markdown_table(["System", "Metric", *heads], lines)]
    if normalized:
        lines = [
            [
                one.title,
                one.metric,
                str(one.n),
                *(_cell(one, part) for part in ("normalized", "own", "chance", "ceiling")),
            ]
            for one in normalized
        ]
        head = ["System", "Metric", "n", "normalized", "mIoU", "shuffled masks", "source video"]
        parts += ["## mIoU between chance and ceiling", markdown_table(head, lines)]
    return "\n\n".join([*parts, note]) + "\n" if parts else ""


def control_json(loaded: LoadedResult) -> str:
    """The same numbers for programs."""
    page = {
        "control": [one.model_dump(mode="json") for one in summarize_control(loaded)],
        "normalized_miou": [one.model_dump(mode="json") for one in normalize_miou(loaded)],
    }
    return json.dumps(page, indent=1) + "\n"


def bootstrap(sums: Sequence[tuple[float, float, str]], level: float, seed: int) -> Interval | None:
    """Ratio of two sums over items, with the percentiles of draws of whole prompts; None if the denominator is not
    above 0 (the ceiling is no higher than chance).

    Args:
        sums: numerator, denominator and prompt of each item, at least one.
        level: such as 0.95.
        seed: of the draws; the same seed gives the same interval.
    """
    names = sorted({cluster for _, _, cluster in sums})
    place = {name: number for number, name in enumerate(names)}
    totals = np.zeros((len(names), 2))
    for above, below, cluster in sums:
        totals[place[cluster]] += above, below
    above, below = totals.sum(axis=0)
    if below <= LEAST:
        return None
    value = float(above / below)
    if len(names) < MIN_CLUSTERS:
        return Interval(value=value, n=len(sums))
    drawn = np.random.default_rng(seed).integers(len(names), size=(BOOTSTRAPS, len(names)))
    sums_D2 = totals[drawn].sum(axis=1)
    if (sums_D2[:, 1] <= LEAST).any():
        return Interval(value=value, n=len(sums))
    low, high = np.percentile(sums_D2[:, 0] / sums_D2[:, 1], [50 * (1 - level), 50 * (1 + level)])
    return Interval(value=value, low=float(low), high=float(high), n=len(sums))


def _cell(one: SystemControl, part: str) -> str:
    return one.parts[part].text if part in one.parts else "-"


def _score_rows(loaded: LoadedResult, metric: str) -> dict[GroupKey, list[ScoreRow]]:
    found: dict[GroupKey, list[ScoreRow]] = {}
    for row in loaded.rows:
        if row.metric == metric and row.status == "ok" and row.value is not None:
            found.setdefault(group_of(row), []).append(row)
    return found


def _part_names(rows: Sequence[ScoreRow]) -> list[str]:
    edits = sorted({name for row in rows for name in row.details if name.startswith("gain_")})
    return [*PARTS, *edits]


def _part(row: ScoreRow, part: str, cluster: str) -> _Sums | None:
    """An item's part of a number; None if the item lacks it."""
    if part == "control":
        return _Sums(float(row.value or 0.0), 1.0, cluster)
    if part == "miou_normalized":
        known = [row.details.get(name) for name in ("miou", "miou_chance", "miou_ceiling")]
        if any(one is None for one in known):
            return None
        own, chance, ceiling = (float(one or 0.0) for one in known)
        return _Sums(own - chance, ceiling - chance, cluster)
    return _Sums(row.details[part], 1.0, cluster) if part in row.details else None


def _system(
    loaded: LoadedResult, key: GroupKey, metric: str, rows: Sequence[ScoreRow],
    sums: Mapping[str, Sequence[_Sums | None]], clusters: Mapping[tuple[GroupKey, str], str],
) -> SystemControl:  # fmt: skip
    options = loaded.result.suite.intervals
    parts = {}
    for part, found in sums.items():
        known = [one for one in found if one is not None]
        if known and (number := bootstrap(known, options.level, options.seed)) is not None:
            parts[part] = number
    n_prompts = len({clusters[key, row.id] for row in rows})
    return SystemControl(**key._asdict(), metric=metric, n=len(rows), n_prompts=n_prompts, parts=parts)


def _triples(metrics: Mapping[str, MetricFacts]) -> dict[str, tuple[str, str]]:
    """S_m of the videos -> its controls: metrics with the same options except pairing and subject."""

    def without(facts: MetricFacts) -> str:
        options = {name: value for name, value in facts.deciding.options.items() if name not in ("pairing", "subject")}
        return json.dumps([options, facts.weights_sha256], sort_keys=True)

    def control(name: str, pairing: str, subject: str) -> str | None:
        wanted = without(metrics[name])
        for other, facts in metrics.items():
            same = facts.metric == "mask_miou" and without(facts) == wanted
            if same and (facts.options["pairing"], facts.options["subject"]) == (pairing, subject):
                return other
        return None

    found = {}
    for name, facts in metrics.items():
        if facts.metric == "mask_miou" and (facts.options["pairing"], facts.options["subject"]) == ("own", "video"):
            shuffled, source = control(name, "shuffled", "video"), control(name, "own", "source")
            if shuffled and source:
                found[name] = (shuffled, source)
    return found
