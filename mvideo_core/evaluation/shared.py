"""Means over the items that every system of a test set was scored on, so that systems of one table can be compared.

A system that loses its hard items looks better than it is. So tables print these means, and mark systems that lack an
item which was asked of others.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from mvideo_core.evaluation.aggregate import Aggregate, ScoreRow, aggregate
from mvideo_core.evaluation.suite import IntervalOptions

Group = TypeVar("Group", bound=Hashable)
ItemKey = tuple[str, str, str]
"""Id; prompt and digest of the sample's masks where one id has several of them."""


class AskedRow(NamedTuple):
    """A row with its item's prompt and cluster."""

    row: ScoreRow
    prompt: str
    cluster: str


class SharedMean(NamedTuple):
    """Mean over the shared items, how many distinct items were asked of any system, and the rows behind the mean."""

    mean: Aggregate
    n_asked: int
    rows: tuple[ScoreRow, ...] = ()


def shared_means(
    groups: Mapping[Group, Sequence[AskedRow]], options: IntervalOptions, any_masks: Collection[str] = ()
) -> dict[Group, dict[str, SharedMean]]:
    """By group and metric. Systems without any score under a metric do not narrow its shared items.

    Args:
        groups: rows of each system; systems share items with those of the same test set.
        any_masks: metrics that pair videos with other items' masks: there masks do not tell items apart.
    """
    found: dict[Group, dict[str, SharedMean]] = {group: {} for group in groups}
    tables: dict[tuple[str, str], dict[Group, list[AskedRow]]] = {}
    for group, rows in groups.items():
        for one in rows:
            tables.setdefault((one.row.test_set, one.row.metric), {}).setdefault(group, []).append(one)
    for (_, metric), mine in tables.items():
        keys = _Keys([one for rows in mine.values() for one in rows], metric not in any_masks)
        scored = [{keys[one] for one in rows if one.row.status == "ok"} for rows in mine.values()]
        common = set.intersection(*filter(None, scored)) if any(scored) else set()
        asked = {keys[one] for rows in mine.values() for one in rows if one.row.status != "inapplicable"}
        for group, rows in mine.items():
            kept = [one for one in rows if one.row.status != "ok" or keys[one] in common]
            mean = aggregate([one.row for one in kept], [one.cluster for one in kept], options)
            found[group][metric] = SharedMean(mean, len(asked), tuple(one.row for one in kept))
    return found


class _Keys:
    """Which rows of several systems are of one item: those of one id, unless prompts or masks differ."""

    def __init__(self, rows: Sequence[AskedRow], by_masks: bool):
        self.prompts: dict[str, set[str]] = {}
        self.masks: dict[str, list[frozenset[str]]] = {}
        """By id, the digests of each sample's masks, on every grid."""
        for one in rows:
            self.prompts.setdefault(one.row.id, set()).update({one.prompt} - {""})
            samples = self.masks.setdefault(one.row.id, [])
            if by_masks and (named := one.row.masks_named):
                known = [sample for sample in samples if sample & named]
                samples[:] = [sample for sample in samples if not sample & named] + [named.union(*known)]

    def __getitem__(self, one: AskedRow) -> ItemKey:
        name = one.row.id
        samples = self.masks[name]
        masks = next((min(sample) for sample in samples if sample & one.row.masks_named), "")
        prompt = one.prompt if len(self.prompts[name]) > 1 else ""
        return name, prompt, masks if len(samples) > 1 else ""
