"""Is one system better than another? Paired differences over the items both have a score for, each with a test.

The test flips whole prompts (`sign_flips`); p-values of one table are corrected together (Holm). A table says
"different" or "not distinguishable", and "too few" where even a difference of every prompt would not be enough.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.base.records import Record
from mvideo_core.evaluation.aggregate import GroupKey, ScoreRow, cluster_of, group_of
from mvideo_core.evaluation.figures import metric_titles
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.plan import EvalPlan
from mvideo_core.evaluation.result import LoadedResult, MetricFacts
from mvideo_core.evaluation.scores import Digests
from mvideo_core.evaluation.sign_flips import MIN_CLUSTERS, estimate_mean, holm
from mvideo_core.evaluation.suite import IntervalOptions, prepare
from mvideo_core.evaluation.unmade import absence_of

Verdict = Literal["different", "not distinguishable", "too few"]


class Difference(Record):
    """One metric, second system minus first, in printed units (raw times scale).

    Attributes:
        title: readable name of the metric.
        first_system, second_system: their titles.
        first, second: means over the pairs.
        difference, low, high: mean difference and its interval; no interval with too few prompts.
        p: of "no difference", two-sided, of this comparison alone; None with too few prompts.
        p_corrected: after Holm's correction over `family` comparisons.
        level: confidence of interval and verdict.
        n_pairs: items both have a score for.
        n_prompts: prompts of the pairs.
        n_unpaired: items only one of them has a score for.
        n_better: pairs in which the second is higher.
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
        """Prompts from which on a difference of every prompt would be called one in this table."""
        return max(MIN_CLUSTERS, 1 + math.ceil(math.log2(self.family / (1 - self.level)) - 1e-9))

    @property
    def verdict(self) -> Verdict:
        """What the corrected p-value allows to say."""
        if self.p_corrected is not None and self.p_corrected <= 1 - self.level + 1e-9:
            return "different"
        return "too few" if self.n_prompts < self.n_needed else "not distinguishable"


class Side(NamedTuple):
    """One side of a comparison: a group of a result."""

    loaded: LoadedResult
    key: GroupKey


def find_side(loaded: LoadedResult, name: str) -> Side:
    """The group of a name: "system", "system, variant" or the title as tables print it; "" = the only one.

    Raises:
        ConfigError: none, or several.
    """
    groups = loaded.result.groups
    titles = {group.title: group.key for group in groups}
    fitting = [key for title, key in titles.items() if not name or name == title]
    fitting = fitting or [key for key in titles.values() if name in (key.system, f"{key.system}, {key.variant}")]
    if len(fitting) != 1:
        what = "fits several systems" if fitting else "is no system of this result"
        raise ConfigError(f"{loaded.folder}: {name!r} {what}; give one of: {' | '.join(titles)}")
    return Side(loaded, fitting[0])


def compare(
    first: Side, second: Side, options: IntervalOptions | None = None, family: int = 1
) -> list[Difference]:  # fmt: skip
    """Paired differences of every metric both results have, matched by item id and corrected for their number.

    Metrics of the source video are left out: they say nothing about a system.

    Args:
        options: of interval and test; None = those of the first result's suite.
        family: comparisons of the table that these are part of, for the number of draws; no fewer than the metrics.

    Raises:
        ConfigError: a metric was measured with other options, weights or revision on the two sides, or one id has
            different prompts or masks there; or more comparisons than can be tested at this level.
    """
    _same_prompts(_items(first), _items(second))
    chosen = options or first.loaded.result.suite.intervals
    family = max(family, len(first.loaded.result.metrics))
    found = []
    for name, facts in first.loaded.result.metrics.items():
        other = second.loaded.result.metrics.get(name)
        if other is None or name in first.loaded.result.unavailable or name in second.loaded.result.unavailable:
            continue
        if facts.set_level:  # one number of all videos: there are no pairs
            continue
        if facts.deciding != other.deciding:
            raise ConfigError(
                f"{name} was not measured alike: {facts.model_dump()} and {other.model_dump()}; run both with one suite"
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
    """Nothing when no pair of systems will be refused by `compare_all`; asked before anything is scored.

    Raises:
        ConfigError: one id has different prompts in two systems, or different masks where a metric compares with them.
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
    """Every two systems of a test set, the earlier one first."""
    return [(one, two) for place, one in enumerate(keys) for two in keys[place + 1 :] if one.test_set == two.test_set]


def _masks_named(item: EvalItem, digests: Digests) -> frozenset[str]:
    """What `ScoreRow.masks_named` of an item's row will be; empty where it gets no score."""
    if absence_of(item.video) is not None:
        return frozenset()
    try:
        return frozenset({digests.masks(item.masks), item.sample_masks_sha256 if item.masks else ""} - {""})
    except MediaError:
        return frozenset()


def correct_for_family(differences: Sequence[Difference]) -> list[Difference]:
    """The same with `p_corrected` over all of them: one table is one family."""
    tested = [one.p for one in differences if one.p is not None]
    p_values = iter(holm(tested))
    return [
        one.model_copy(update={"p_corrected": None if one.p is None else next(p_values), "family": max(1, len(tested))})
        for one in differences
    ]


def _same_prompts(first: Sequence[EvalItem], second: Sequence[EvalItem]) -> None:
    """Ids are often plain numbers; those of another list of prompts would make pairs of unlike videos."""
    one, two = ({item.id: item.prompt for item in items} for items in (first, second))
    unlike = [name for name in one if one[name] and two.get(name) and one[name] != two[name]]
    if unlike:
        name = unlike[0]
        raise ConfigError(
            f"{len(unlike)} ids have other prompts on the other side, such as {name!r}: {one[name]!r} and "
            f"{two[name]!r}; compare results of one list of prompts"
        )


def _same_masks(metric: str, one: Mapping[str, frozenset[str]], two: Mapping[str, frozenset[str]]) -> None:
    """The same id with other masks is another task; ids that name no masks are not checked.

    Args:
        one, two: by id, `ScoreRow.masks_named`.
    """
    unlike = [name for name in one.keys() & two.keys() if one[name] and two[name] and not one[name] & two[name]]
    if unlike:
        raise ConfigError(
            f"{metric}: {len(unlike)} ids have other masks on the other side, such as {min(unlike)!r}; score both "
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
    """Titles of the two systems; with their folders where the titles are the same."""
    titles = [", ".join(part for part in (side.key.system, side.key.variant) if part) for side in (first, second)]
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
