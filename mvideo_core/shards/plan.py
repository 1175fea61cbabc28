"""Which sample goes into which shard: exclusions, split by source video, seeded order. Nothing is opened or written."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mvideo_core.shards.candidates import Candidate, Columns, Exclusion, draw
from mvideo_core.shards.exclusion_lists import ExclusionList, check_matched, read_exclusion_lists
from mvideo_core.shards.options import ShardOptions

SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One tar to write: its name without extension ("train-000000"), its split and the keys in order."""

    name: str
    split: str
    keys: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """All shards, train first, and all that stays out; together they hold every candidate once."""

    shards: tuple[ShardPlan, ...]
    excluded: tuple[Exclusion, ...]


def plan_shards(
    candidates: Iterable[Candidate], options: ShardOptions, lists: Sequence[ExclusionList] | None = None
) -> DatasetPlan:
    """The dataset's layout; depends on the set of candidates and the options, not on the order they come in.

    Of each candidate only its key and about 50 bytes of numbers are kept; texts and names are looked at as they pass.

    Args:
        candidates: all triplets.
        options: sizes, split, exclusions.
        lists: the options' lists, in which the caller may have noted names that are no candidates; read here if None.

    Raises:
        ConfigError: a key occurs twice, a list cannot be read, or an entry of a list matches nothing.
    """
    lists = read_exclusion_lists(options) if lists is None else lists
    columns = Columns(options, lists)
    for one in candidates:
        columns.add(one)
    order = columns.by_key()
    check_matched(lists, options)
    excluded = columns.exclusions(order)
    is_test = columns.test_side(order)
    kept = order[columns.outside(order, excluded)]
    shards: list[ShardPlan] = []
    for split in SPLITS:
        members = kept[is_test[kept] == (split == "test")]
        draws = np.fromiter(
            (draw(f"order/{options.split_seed}/{columns.keys[row]}") for row in members), np.float64, len(members)
        )
        shards.extend(_cut(split, members[np.argsort(draws, kind="stable")], columns, options))
    return DatasetPlan(tuple(shards), tuple(excluded[key] for key in sorted(excluded)))


def _cut(split: str, members: np.ndarray, columns: Columns, options: ShardOptions) -> Iterator[ShardPlan]:
    held: list[str] = []
    size_bytes, number = 0, 0
    for row in members:
        sample_bytes = columns.size_bytes[row]
        full = len(held) >= options.samples_per_shard or size_bytes + sample_bytes > options.max_shard_bytes
        if held and full:
            yield ShardPlan(f"{split}-{number:06d}", split, tuple(held), size_bytes)
            held, size_bytes, number = [], 0, number + 1
        held.append(columns.keys[row])
        size_bytes += sample_bytes
    if held:
        yield ShardPlan(f"{split}-{number:06d}", split, tuple(held), size_bytes)
