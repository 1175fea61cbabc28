"""Is one system better than another? Paired differences over the items both have a score for, with intervals."""

from collections.abc import Sequence
from typing import NamedTuple

from mvideo_core.errors import ConfigError
from mvideo_core.evaluation.aggregate import GroupKey, ScoreRow, cluster_of, group_of
from mvideo_core.evaluation.bootstrap import bootstrap_mean
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.result import LoadedResult
from mvideo_core.evaluation.suite import BootstrapOptions
from mvideo_core.records import Record


class Difference(Record):
    """One metric, second system minus first, in printed units (raw times scale).

    Attributes:
        first, second: means over the pairs.
        difference, low, high: mean difference and its interval; the ends are None with fewer than two prompts.
        n_pairs: items both have a score for.
        n_unpaired: items only one of them has a score for.
        n_better: pairs in which the second is higher.
    """

    metric: str
    test_set: str
    first: float | None = None
    second: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    n_pairs: int = 0
    n_unpaired: int = 0
    n_better: int = 0

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


class Side(NamedTuple):
    """One side of a comparison: a group of a result."""

    loaded: LoadedResult
    key: GroupKey


def find_side(loaded: LoadedResult, name: str) -> Side:
    """The group that a name tells: "system", "system, variant" or the title as tables print it; "" = the only one.

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


def compare(first: Side, second: Side, options: BootstrapOptions | None = None) -> list[Difference]:
    """Paired differences of every metric both results have, matched by item id.

    Args:
        options: of the interval; None = those of the first result's suite.

    Raises:
        ConfigError: a metric was measured with other options, weights or revision on the two sides, or one id has
            different prompts there.
    """
    _same_prompts(first, second)
    chosen = options or first.loaded.result.suite.bootstrap
    found = []
    for name, facts in first.loaded.result.metrics.items():
        other = second.loaded.result.metrics.get(name)
        if other is None or name in first.loaded.result.unavailable or name in second.loaded.result.unavailable:
            continue
        if facts != other:
            raise ConfigError(
                f"{name} was not measured alike: {facts.model_dump()} and {other.model_dump()}; run both with one suite"
            )
        found.append(_difference(name, facts.scale, first, second, chosen))
    return found


def _same_prompts(first: Side, second: Side) -> None:
    """Ids are often plain numbers; those of another list of prompts would make pairs of unlike videos."""
    one, two = ({item.id: item.prompt for item in _items(side)} for side in (first, second))
    unlike = [name for name in one if one[name] and two.get(name) and one[name] != two[name]]
    if unlike:
        name = unlike[0]
        raise ConfigError(
            f"{len(unlike)} ids stand for other prompts on the other side, such as {name!r}: {one[name]!r} and "
            f"{two[name]!r}; compare results of one list of prompts"
        )


def _difference(name: str, scale: float, first: Side, second: Side, options: BootstrapOptions) -> Difference:
    one, two = _values(first, name), _values(second, name)
    both = sorted(one.keys() & two.keys())
    n_unpaired = len(one.keys() ^ two.keys())
    if not both:
        return Difference(metric=name, test_set=first.key.test_set, n_unpaired=n_unpaired)
    clusters = {item.id: cluster_of(item) for item in _items(first)}
    gains = [(two[item] - one[item]) * scale for item in both]
    interval = bootstrap_mean(gains, [clusters[item] for item in both], options)
    known = interval.low == interval.low
    return Difference(
        metric=name,
        test_set=first.key.test_set,
        first=scale * sum(one[item] for item in both) / len(both),
        second=scale * sum(two[item] for item in both) / len(both),
        difference=interval.mean,
        low=interval.low if known else None,
        high=interval.high if known else None,
        n_pairs=len(both),
        n_unpaired=n_unpaired,
        n_better=sum(gain > 0 for gain in gains),
    )


def _values(side: Side, metric: str) -> dict[str, float]:
    rows: Sequence[ScoreRow] = side.loaded.rows
    return {
        row.id: row.value
        for row in rows
        if row.metric == metric and group_of(row) == side.key and row.value is not None
    }


def _items(side: Side) -> list[EvalItem]:
    return [item for item in side.loaded.items if group_of(item) == side.key]
