"""`mvideo eval compare` tests the differences between items with the same `id`, with one [sign-flip
test](docs/reference/evaluation.md#intervals-and-p-values) per metric.

Both sides must have the same metric options, weights and revision, and the same prompt and sample per id. P-values of
one table are corrected together (Holm). The verdict on a metric is `different` (p at most 5% after the correction),
`not distinguishable`, or `too few (needs N)` if even a difference in every prompt would not reach 5%. To change the 5%,
set the suite's `intervals.level`.

The test does not cover training noise: two models, each trained once, also differ by their seeds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.base.records import Record
from mvideo_core.evaluation.aggregate import GroupKey, ScoreRow, cluster_of, group_of, title_of
from mvideo_core.evaluation.failed_videos import absence_of
from mvideo_core.evaluation.figures import metric_titles
from mvideo_core.evaluation.intervals import MIN_CLUSTERS, estimate_mean, holm
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.plan import EvalPlan
from mvideo_core.evaluation.result import LoadedResult, MetricFacts
from mvideo_core.evaluation.scores import Digests
from mvideo_core.evaluation.suite import IntervalOptions, prepare

Verdict = Literal["different", "not distinguishable", "too few"]


class Difference(Record):
    """One metric, second system minus first, in table units (raw times scale).

    Attributes:
        title: readable name of the metric.
        first_system, second_system: their titles.
        first, second: means over the pairs.
        difference, low, high: mean difference and its interval; no interval if there are too few prompts.
        p: two-sided p-value of this comparison alone; None if there are too few prompts.
        p_corrected: after Holm's correction over `family` comparisons.
        level: confidence level of interval and verdict.
        n_pairs: items both have scores for.
        n_prompts: prompts of the pairs.
        n_unpaired: items only one of them has a score for.
        n_better: pairs where the second is higher.
    """

    metric: str
    title: str = ""
    test_set: str
    first_system: str = ""
    second_system: str = ""
    first: float | None = None
    second: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    family: int = 1
    level: float = 0.95
    n_pairs: int = 0
    n_prompts: int = 0
    n_unpaired: int = 0
    n_better: int = 0

    @property
    def n_needed(self) -> int:
        """Minimum number of prompts with which a difference in every prompt would be significant in this table."""
        return max(MIN_CLUSTERS, 1 + math.ceil(math.log2(self.family / (1 - self.level)) - 1e-9))

    @property
    def verdict(self) -> Verdict:
        """Conclusion from the corrected p-value."""
        if self.p_corrected is not None and self.p_corrected <= 1 - self.level + 1e-9:
            return "different"
        return "too few" if self.n_prompts < self.n_needed else "not distinguishable"


class Side(NamedTuple):
    """One side of a comparison: a group of a result."""

    loaded: LoadedResult
    key: GroupKey


def find_side(loaded: LoadedResult, name: str) -> Side:
    """Look up a group by name: "system", "system, variant" or the title used in tables; "" = the only one.

    Raises:
        ConfigError: no match, or several.
    """
    groups = loaded.result.groups
    titles = {group.title: group.key for group in groups}
    asked = title_of(name)
    fitting = [key for title, key in titles.items() if not name or asked == title]
    fitting = fitting or [key for key in titles.values() if asked in (key.system, key.short_title)]
    if len(fitting) != 1:
        what = "matches several systems" if fitting else "is not a system of this result"
        raise ConfigError(f"{loaded.folder}: {name!r} {what}; choose one of: {' | '.join(titles)}")
    return Side(loaded, fitting[0])


def compare(
    first: Side, second: Side, options: IntervalOptions | None = None, family: int = 1
) -> list[Difference]:  # fmt: skip
    """Paired differences of every metric both results have, matched by item id and corrected for multiple comparisons.

    Metrics of the source video are left out: they do not depend on the system.

    Args:
        options: interval and test options; None = the options of the first result's suite.
        family: comparisons in the whole table, at least the number of metrics; sets the number of draws.

    Raises:
        ConfigError: the two sides measured a metric with different options, weights or revision, or one id has
            different prompts or masks; or there are more comparisons than can be tested at this level.
    """
    _same_prompts(_items(first), _items(second))
    chosen = options or first.loaded.result.suite.intervals
    family = max(family, len(first.loaded.result.metrics))
    found = []
    for name, facts in first.loaded.result.metrics.items():
        other = second.loaded.result.metrics.get(name)
        if other is None or name in first.loaded.result.unavailable or name in second.loaded.result.unavailable:
            continue
        if facts.set_level:  # one number for all videos: there are no pairs
            continue
        if facts.deciding != other.deciding:
            raise ConfigError(
                f"{name} was measured differently: {facts.model_dump()} and {other.model_dump()}; use one suite"
            )
        if facts.options.get("subject") != "source":
            found.append(_difference(name, facts, first, second, chosen, family))
    return correct_for_family(found)


def compare_all(loaded: LoadedResult) -> list[Difference]:
    """Every pair of systems of a test set, the earlier one first, corrected over all pairs and metrics.

    Raises:
        ConfigError: one id has different prompts or masks in two systems.
    """
    pairs = _pairs([group.key for group in loaded.result.groups])
    family = len(pairs) * len(loaded.result.metrics)
    found = [
        one for first, second in pairs for one in compare(Side(loaded, first), Side(loaded, second), family=family)
    ]
    return correct_for_family([one for one in found if one.n_pairs])


def check_comparable(plan: EvalPlan) -> None:
    """Check, before scoring, that `compare_all` will accept every pair of systems.

    Raises:
        ConfigError: one id has different prompts in two systems, or different masks that a metric uses.
    """
    with_masks = [one.name for one in prepare(plan.suite) if one.inputs >= {"masks", "video"} and not one.shuffled]
    members: dict[GroupKey, list[EvalItem]] = {}
    for item in plan.items:
        members.setdefault(group_of(item), []).append(item)
    pairs = _pairs(list(members))
    for first, second in pairs:
        _same_prompts(members[first], members[second])
    if not with_masks:
        return
    digests = Digests()
    masks = {key: {item.id: _masks_named(item, digests) for item in items} for key, items in members.items()}
    for first, second in pairs:
        _same_masks(", ".join(with_masks), masks[first], masks[second])


def _pairs(keys: Sequence[GroupKey]) -> list[tuple[GroupKey, GroupKey]]:
    """All pairs of systems in a test set, the earlier one first."""
    return [(one, two) for place, one in enumerate(keys) for two in keys[place + 1 :] if one.test_set == two.test_set]


def _masks_named(item: EvalItem, digests: Digests) -> frozenset[str]:
    """Value that `ScoreRow.masks_named` will have for an item; empty if it gets no score."""
    if absence_of(item.video) is not None:
        return frozenset()
    try:
        return frozenset({digests.masks(item.masks), item.sample_masks_sha256 if item.masks else ""} - {""})
    except MediaError:
        return frozenset()


def correct_for_family(differences: Sequence[Difference]) -> list[Difference]:
    """Set `p_corrected` over all differences: one table is one family."""
    tested = [one.p for one in differences if one.p is not None]
    p_values = iter(holm(tested))
    return [
        one.model_copy(update={"p_corrected": None if one.p is None else next(p_values), "family": max(1, len(tested))})
        for one in differences
    ]


def _same_prompts(first: Sequence[EvalItem], second: Sequence[EvalItem]) -> None:
    """Ids are often plain numbers, so ids from another prompt list would pair unrelated videos."""
    one, two = ({item.id: item.prompt for item in items} for items in (first, second))
    unlike = [name for name in one if one[name] and two.get(name) and one[name] != two[name]]
    if unlike:
        name = unlike[0]
        raise ConfigError(
            f"{len(unlike)} ids have different prompts on the two sides, e.g. {name!r}: {one[name]!r} and "
            f"{two[name]!r}; compare results for the same prompt list"
        )


def _same_masks(metric: str, one: Mapping[str, frozenset[str]], two: Mapping[str, frozenset[str]]) -> None:
    """Refuse the same id with different masks, which is a different task; ids without masks are not checked.

    Args:
        one, two: id -> `ScoreRow.masks_named`.
    """
    unlike = [name for name in one.keys() & two.keys() if one[name] and two[name] and not one[name] & two[name]]
    if unlike:
        raise ConfigError(
            f"{metric}: {len(unlike)} ids have different masks on the two sides, e.g. {min(unlike)!r}; score both "
            "systems with the masks of one manifest"
        )


def _difference(
    name: str, facts: MetricFacts, first: Side, second: Side, options: IntervalOptions, family: int
) -> Difference:
    one, two = _score_rows(first, name), _score_rows(second, name)
    if facts.options.get("pairing") != "shuffled":
        _same_masks(name, *({key: row.masks_named for key, row in side.items()} for side in (one, two)))
    both = sorted(one.keys() & two.keys())
    about = Difference(
        metric=name,
        title=metric_titles(first.loaded.result.metrics)[name],
        test_set=first.key.test_set,
        **_names(first, second),
        level=options.level,
        n_pairs=len(both),
        n_unpaired=len(one.keys() ^ two.keys()),
    )
    if not both:
        return about
    clusters = {item.id: cluster_of(item) for item in _items(first)}
    befores, afters = ([_value(side[item]) * facts.scale for item in both] for side in (one, two))
    gains = [after - before for before, after in zip(befores, afters, strict=True)]
    found = estimate_mean(gains, [clusters[item] for item in both], options, family)
    return about.model_copy(
        update={
            "first": math.fsum(befores) / len(both),
            "second": math.fsum(afters) / len(both),
            "difference": found.mean,
            "low": found.low,
            "high": found.high,
            "p": found.p,
            "n_prompts": found.n_clusters,
            "n_better": sum(gain > 0 for gain in gains),
        }
    )


def _names(first: Side, second: Side) -> dict[str, str]:
    """Titles of the two systems, with their folders if the titles are equal."""
    titles = [side.key.short_title for side in (first, second)]
    if titles[0] == titles[1] and first.loaded.folder != second.loaded.folder:
        titles = [f"{title} ({side.loaded.folder})" for title, side in zip(titles, (first, second), strict=True)]
    return {"first_system": titles[0] or "(unnamed)", "second_system": titles[1] or "(unnamed)"}


def _score_rows(side: Side, metric: str) -> dict[str, ScoreRow]:
    return {
        row.id: row
        for row in side.loaded.rows
        if row.metric == metric and group_of(row) == side.key and row.value is not None
    }


def _value(row: ScoreRow) -> float:
    assert row.value is not None
    return row.value


def _items(side: Side) -> list[EvalItem]:
    return [item for item in side.loaded.items if group_of(item) == side.key]
