"""The control tables show each system's control score with its parts. If the suite scores S_m with shuffled masks and
of the source videos, they also show S_m rescaled so that shuffled masks are 0 and the source videos are 1. All values
are over the items that the systems share.

For a ratio, numerator and denominator are each summed over the items; ratios of single items are not averaged.
Intervals (in brackets) describe one system and come from the [sign-flip
test](docs/reference/evaluation.md#intervals-and-p-values); `mvideo eval compare` tests whether two systems differ.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from mvideo_core.base.records import Record
from mvideo_core.evaluation.aggregate import GroupKey, ScoreRow, cluster_of, group_of
from mvideo_core.evaluation.figures import MARK
from mvideo_core.evaluation.intervals import MIN_CLUSTERS, estimate_ratio
from mvideo_core.evaluation.layout import markdown_table
from mvideo_core.evaluation.result import LoadedResult, MetricFacts
from mvideo_core.evaluation.suite import IntervalOptions

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
        n, n_prompts: items (and their prompts) that all systems of the test set were measured on; its own, if none are.
        n_missing, n_failed: its videos without a score.
        marked: not measured on every item of the test set, or no item in common with the others.
        parts: by names of PARTS, and gain_<edit>; of S_m: "normalized", "own", "chance", "ceiling".
        own: the first part over all its own items.
    """

    test_set: str
    system: str
    variant: str
    metric: str
    n: int
    n_prompts: int
    n_missing: int = 0
    n_failed: int = 0
    marked: bool = False
    parts: dict[str, Interval]
    own: Interval | None = None

    @property
    def title(self) -> str:
        """ "ours, 8 s"."""
        return GroupKey(self.test_set, self.system, self.variant).title


class _Sums(NamedTuple):
    """One item's part of a ratio: numerator, denominator, prompt."""

    above: float
    below: float
    cluster: str


Parts = dict[str, _Sums | None]
"""One item's part of every number."""


def summarize_control(loaded: LoadedResult) -> tuple[SystemControl, ...]:
    """Every system under every control_response of the suite."""
    found: list[SystemControl] = []
    for name, facts in loaded.result.metrics.items():
        if facts.metric == METRIC:
            edits = sorted({one for row in loaded.rows if row.metric == name for one in row.details if _is_gain(one)})
            found += _summarize(loaded, name, [*PARTS, *edits], _part)
    return tuple(found)


def normalize_miou(loaded: LoadedResult) -> tuple[SystemControl, ...]:
    """S_m between shuffled masks (0) and the source video (1), if a suite has all three with one judge.

    Computed over the items that have all three; the ratio of the sums of (own - shuffled) and (source - shuffled).
    """
    values = {(row.metric, group_of(row), row.id): row.value for row in loaded.rows if row.status == "ok"}
    found: list[SystemControl] = []
    for name, controls in _triples(loaded.result.metrics).items():

        def part(row: ScoreRow, name: str, cluster: str, controls: tuple[str, str] = controls) -> _Sums | None:
            own, bottom, best = row.value, *(values.get((one, group_of(row), row.id)) for one in controls)
            if own is None or bottom is None or best is None:
                return None
            if name == "normalized":
                return _Sums(own - bottom, best - bottom, cluster)
            return _Sums({"own": own, "chance": bottom, "ceiling": best}[name], 1.0, cluster)

        found += _summarize(loaded, name, ["normalized", "own", "chance", "ceiling"], part)
    return tuple(found)


def control_markdown(loaded: LoadedResult) -> str:
    """The tables of a result; "" if it has neither."""
    systems, normalized = summarize_control(loaded), normalize_miou(loaded)
    level = f"{100 * loaded.result.suite.intervals.level:g}%"
    note = (
        f"Over the n items that every system on the test set was measured on. In brackets: {level} intervals of the "
        f"sign-flip test over prompts, with at least {MIN_CLUSTERS} prompts. {MARK} not measured on every item of the "
        "test set, or no item in common with the others: do not rank by it. docs/reference/control.md"
    )
    parts = []
    if systems:
        lines = [[*_head(one), *(_cell(one, part) for part in PARTS), _own(one)] for one in systems]
        head = [*_HEAD, *PARTS.values(), "own control (n)"]
        parts += ["## Control", markdown_table(head, lines)]
        edits = list(dict.fromkeys(part for one in systems for part in one.parts if _is_gain(part)))
        lines = [[*_head(one), *(_cell(one, part) for part in edits)] for one in systems]
        parts += ["Gain of each edit (drop: the share that is gone):"]
        parts += [markdown_table([*_HEAD, *(part.removeprefix("gain_") for part in edits)], lines)]
    if normalized:
        kinds = {"normalized": "normalized", "own": "mIoU", "chance": "shuffled masks", "ceiling": "source video"}
        lines = [[*_head(one), *(_cell(one, part) for part in kinds), _own(one)] for one in normalized]
        head = [*_HEAD, *kinds.values(), "own normalized (n)"]
        parts += ["## mIoU between chance and ceiling", markdown_table(head, lines)]
    return "\n\n".join([*parts, note]) + "\n" if parts else ""


def control_json(loaded: LoadedResult) -> str:
    """The same numbers for programs."""
    page = {
        "control": [one.model_dump(mode="json") for one in summarize_control(loaded)],
        "normalized_miou": [one.model_dump(mode="json") for one in normalize_miou(loaded)],
    }
    return json.dumps(page, indent=1) + "\n"


def ratio_of(sums: Sequence[_Sums], options: IntervalOptions) -> Interval | None:
    """Ratio of two sums over items; None if the denominator is not above 0 (the ceiling is no higher than chance).

    Args:
        sums: at least one.
    """
    if sum(one.below for one in sums) <= LEAST:
        return None
    got = estimate_ratio(
        [one.above for one in sums], [one.below for one in sums], [one.cluster for one in sums], options
    )
    return Interval(value=got.mean, low=got.low, high=got.high, n=len(sums))


_HEAD = ["System", "Metric", "n", "prompts", "missing", "failed"]


def _head(one: SystemControl) -> list[str]:
    counts = (one.n, one.n_prompts, one.n_missing, one.n_failed)
    return [f"{one.title}{MARK if one.marked else ''}", one.metric, *map(str, counts)]


def _cell(one: SystemControl, part: str) -> str:
    return one.parts[part].text if part in one.parts else "-"


def _own(one: SystemControl) -> str:
    return f"{one.own.value:.3f} ({one.own.n})" if one.own is not None and one.own.n > one.n else ""


def _is_gain(part: str) -> bool:
    return part.startswith("gain_")


def _part(row: ScoreRow, part: str, cluster: str) -> _Sums | None:
    """An item's part of a number; None if the item lacks it."""
    if part == "control":
        return None if row.value is None else _Sums(row.value, 1.0, cluster)
    if part == "miou_normalized":
        known = [row.details.get(name) for name in ("miou", "miou_chance", "miou_ceiling")]
        if any(one is None for one in known):
            return None
        own, chance, ceiling = (float(one or 0.0) for one in known)
        return _Sums(own - chance, ceiling - chance, cluster)
    return _Sums(row.details[part], 1.0, cluster) if part in row.details else None


def _summarize(
    loaded: LoadedResult, metric: str, names: Sequence[str], part: Callable[[ScoreRow, str, str], _Sums | None]
) -> list[SystemControl]:
    """Every system that has the first of `names` for an item; `part`: an item's part of a number."""
    items = {(group_of(item), item.id): item for item in loaded.items}
    asked: dict[GroupKey, set[tuple[str, str]]] = {}
    held: dict[GroupKey, dict[tuple[str, str], Parts]] = {}
    mine = [row for row in loaded.rows if row.metric == metric and row.status != "inapplicable"]
    for row in mine:
        key, item = group_of(row), items[group_of(row), row.id]
        asked.setdefault(key, set()).add((item.id, item.prompt))
        found = {name: part(row, name, cluster_of(item)) for name in names} if row.status == "ok" else {}
        if found.get(names[0]) is not None:
            held.setdefault(key, {})[item.id, item.prompt] = found
    systems = []
    for key, own in held.items():
        peers = [other for other in held if other.test_set == key.test_set]
        common = set.intersection(*(set(held[other]) for other in peers))
        every = set.union(*(asked[other] for other in asked if other.test_set == key.test_set))
        shown = [own[name] for name in own if name in common or not common]
        clusters = {one.cluster for parts in shown if (one := parts[names[0]]) is not None}
        systems.append(
            SystemControl(
                **key._asdict(), metric=metric, n=len(shown), n_prompts=len(clusters),
                n_missing=sum(row.status == "missing" for row in mine if group_of(row) == key),
                n_failed=sum(row.status == "failed" for row in mine if group_of(row) == key),
                marked=not common or every != set(own),
                parts=_numbers(shown, names, loaded.result.suite.intervals),
                own=_numbers(list(own.values()), names[:1], loaded.result.suite.intervals).get(names[0]),
            )
        )  # fmt: skip
    return systems


def _numbers(items: Sequence[Parts], names: Sequence[str], options: IntervalOptions) -> dict[str, Interval]:
    found = {}
    for name in names:
        known = [one for parts in items if (one := parts[name]) is not None]
        if known and (number := ratio_of(known, options)) is not None:
            found[name] = number
    return found


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
