"""Which sample goes into which shard: exclusions, split by source video, seeded order. No sample is opened."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from mvideo_core.shards.candidate_table import CandidateTable
from mvideo_core.shards.candidates import Candidate, Exclusion
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
    """All shards, train first, and all exclusions; together they hold every candidate once."""

    shards: tuple[ShardPlan, ...]
    excluded: tuple[Exclusion, ...]


def plan_shards(
    candidates: Iterable[Candidate], options: ShardOptions, lists: Sequence[ExclusionList] | None = None
) -> DatasetPlan:
    """The dataset's layout in memory; depends on the set of candidates and the options, not on the candidates' order.

    For more candidates than fit in memory, fill a `CandidateTable` in a file and call `shards_of_table`.

    Args:
        candidates: all triplets.
        options: sizes, split, exclusions.
        lists: the options' lists, in which the caller may have recorded names that are not candidates; read here if
            None.

    Raises:
        ConfigError: a key occurs twice, a list cannot be read, or an entry of a list matches nothing.
    """
    lists = read_exclusion_lists(options) if lists is None else lists
    with closing(CandidateTable(options, lists)) as table:
        for one in candidates:
            table.add(one)
        shards = tuple(shards_of_table(table, options, lists))
        return DatasetPlan(shards, tuple(table.exclusions()))


def shards_of_table(
    table: CandidateTable, options: ShardOptions, lists: Sequence[ExclusionList]
) -> Iterator[ShardPlan]:
    """The shards of a filled table, one at a time, train first; afterwards the table also contains the exclusions.

    Raises:
        ConfigError: an entry of a list matches nothing.
    """
    check_matched(lists, options)
    table.decide()
    for split in SPLITS:
        yield from _cut(split, table.members(split == "test"), options)


def _cut(split: str, members: Iterable[tuple[str, int]], options: ShardOptions) -> Iterator[ShardPlan]:
    held: list[str] = []
    size_bytes, number = 0, 0
    for key, sample_bytes in members:
        full = len(held) >= options.samples_per_shard or size_bytes + sample_bytes > options.max_shard_bytes
        if held and full:
            yield ShardPlan(f"{split}-{number:06d}", split, tuple(held), size_bytes)
            held, size_bytes, number = [], 0, number + 1
        held.append(key)
        size_bytes += sample_bytes
    if held:
        yield ShardPlan(f"{split}-{number:06d}", split, tuple(held), size_bytes)
