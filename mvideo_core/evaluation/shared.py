"""Means use only the items for which every system that was evaluated on the test set has a score, so that the systems
in a table are comparable.

A system that fails on its hard items looks better than it is. A star therefore marks a system that was not scored on
every requested item, or shares no items with the others: do not rank it by its mean.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from mvideo_core.evaluation.aggregate import Aggregate, ScoreRow, aggregate
from mvideo_core.evaluation.suite import IntervalOptions

Group = TypeVar("Group", bound=Hashable)
ItemKey = tuple[str, str, str]
"""Id, plus prompt and digest of the sample's masks if one id has several."""


class PromptedRow(NamedTuple):
    """A row with its item's prompt and cluster."""

    row: ScoreRow
    prompt: str
    cluster: str


class SharedMean(NamedTuple):
    """Mean over the shared items, number of distinct items over all systems, and the rows in the mean."""

    mean: Aggregate
    n_asked: int
    rows: tuple[ScoreRow, ...] = ()


def average_shared(
    groups: Mapping[Group, Sequence[PromptedRow]], options: IntervalOptions, any_masks: Collection[str] = ()
) -> dict[Group, dict[str, SharedMean]]:
    """Means by group and metric. Systems without any score for a metric do not reduce its shared items.

    Args:
        groups: rows of each system; systems share items within a test set.
        any_masks: metrics that pair videos with other items' masks, which therefore do not identify items.
    """
    found: dict[Group, dict[str, SharedMean]] = {group: {} for group in groups}
    tables: dict[tuple[str, str], dict[Group, list[PromptedRow]]] = {}
    for group, rows in groups.items():
        for one in rows:
            tables.setdefault((one.row.test_set, one.row.metric), {}).setdefault(group, []).append(one)
    for (_, metric), mine in tables.items():
        keys = _Keys([one for rows in mine.values() for one in rows], metric not in any_masks)
        scored = [{keys[one] for one in rows if one.row.status == "ok"} for rows in mine.values()]
        common = set.intersection(*filter(None, scored)) if any(scored) else set()
        requested = {keys[one] for rows in mine.values() for one in rows if one.row.status != "inapplicable"}
        for group, rows in mine.items():
            kept = [one for one in rows if one.row.status != "ok" or keys[one] in common]
            mean = aggregate([one.row for one in kept], [one.cluster for one in kept], options)
            found[group][metric] = SharedMean(mean, len(requested), tuple(one.row for one in kept))
    return found


class _Keys:
    """Identifies the rows of one item across systems: same id, unless prompts or masks differ."""

    def __init__(self, rows: Sequence[PromptedRow], by_masks: bool):
        self.prompts: dict[str, set[str]] = {}
        self.masks: dict[str, list[frozenset[str]]] = {}
        """Id -> digests of each sample's masks, on every grid."""
        for one in rows:
            self.prompts.setdefault(one.row.id, set()).update({one.prompt} - {""})
            samples = self.masks.setdefault(one.row.id, [])
            if by_masks and (named := one.row.masks_named):
                known = [sample for sample in samples if sample & named]
                samples[:] = [sample for sample in samples if not sample & named] + [named.union(*known)]

    def __getitem__(self, one: PromptedRow) -> ItemKey:
        name = one.row.id
        samples = self.masks[name]
        masks = next((min(sample) for sample in samples if sample & one.row.masks_named), "")
        prompt = one.prompt if len(self.prompts[name]) > 1 else ""
        return name, prompt, masks if len(samples) > 1 else ""
