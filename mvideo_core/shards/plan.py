"""Which sample goes into which shard: exclusions, split by source video, seeded order. Nothing is opened or written."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mvideo_core.errors import ConfigError
from mvideo_core.phrases import TermFinder
from mvideo_core.shards.exclusion_lists import ExclusionList, check_matched, read_exclusion_lists
from mvideo_core.shards.options import ShardOptions

SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What planning needs to know of a triplet; small, so that a million fit into memory.

    Attributes:
        key: clip key.
        video_id: key of the source video.
        source_sha256: of the source file; "" when not known.
        source_url: "" when not known.
        source_name: file name of the source; "" when not known.
        start_s, end_s: span in the source, seconds.
        texts: labels, caption and title: where excluded terms are looked for.
        size_bytes: of the sample within a tar, see `members.sample_bytes`; an estimate will do.
    """

    key: str
    video_id: str
    source_sha256: str
    source_url: str
    start_s: float
    end_s: float
    texts: tuple[str, ...]
    size_bytes: int
    source_name: str = ""

    def names(self) -> tuple[str, ...]:
        """What a removal list may call this sample or its source."""
        known = (self.key, self.video_id, self.source_name, self.source_url, self.source_sha256)
        return tuple(name for name in known if name)


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One tar to write: its name without extension ("train-000000"), its split and the keys in order."""

    name: str
    split: str
    keys: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A triplet that stays out; `value` and `threshold` as in a filtered row, `entry` is the list's line behind it."""

    key: str
    video_id: str
    reason: str
    value: float
    threshold: float
    entry: str = ""


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """All shards, train first, and all that stays out; together they hold every candidate once."""

    shards: tuple[ShardPlan, ...]
    excluded: tuple[Exclusion, ...]


def plan_shards(
    candidates: Iterable[Candidate], options: ShardOptions, lists: Sequence[ExclusionList] | None = None
) -> DatasetPlan:
    """The dataset's layout; depends on the set of candidates and the options, not on the order they come in.

    Args:
        candidates: all triplets.
        options: sizes, split, exclusions.
        lists: the options' lists, in which the caller may have noted names that are no candidates; read here if None.

    Raises:
        ConfigError: a key occurs twice, a list cannot be read, or an entry of a list matches nothing.
    """
    ordered = sorted(candidates, key=lambda one: one.key)
    for before, after in pairwise(ordered):
        if before.key == after.key:
            raise ConfigError(f"two samples have the key {after.key!r}; keys must be unique within a dataset")
    excluded = _exclusions(ordered, options, read_exclusion_lists(options) if lists is None else lists)
    kept = [one for one in ordered if one.key not in excluded]
    groups = _video_groups(ordered)
    shards: list[ShardPlan] = []
    for split in SPLITS:
        members = [one for one in kept if split_of(groups[one.video_id], options) == split]
        members.sort(key=lambda one: (_draw(f"order/{options.split_seed}/{one.key}"), one.key))
        shards.extend(_cut(split, members, options))
    return DatasetPlan(tuple(shards), tuple(excluded[key] for key in sorted(excluded)))


def split_of(video_id: str, options: ShardOptions) -> str:
    """ "test" for about `test_frac` of all ids, by hash and seed: adding a video moves no other to the other side."""
    return "test" if _draw(f"split/{options.split_seed}/{video_id}") < options.test_frac else "train"


def _draw(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _video_groups(ordered: Sequence[Candidate]) -> dict[str, str]:
    """Video id -> the id that stands for it: ids of byte-equal source files share one, so a split cannot part them."""
    first_id: dict[str, str] = {}
    for one in ordered:
        if one.source_sha256:
            known = first_id.get(one.source_sha256, one.video_id)
            first_id[one.source_sha256] = min(known, one.video_id)
    return {one.video_id: first_id.get(one.source_sha256, one.video_id) for one in ordered}


def _exclusions(
    ordered: Sequence[Candidate], options: ShardOptions, lists: Sequence[ExclusionList]
) -> dict[str, Exclusion]:
    """First reason that applies to each candidate that stays out, by key."""
    for each in lists:
        for one in ordered:
            each.note(one.names())
    check_matched(lists, options)
    naming = _naming_excluded(ordered, options)
    seen: set[tuple[str, float, float]] = set()
    excluded: dict[str, Exclusion] = {}
    for one in ordered:
        reason, threshold = "", 0.0
        listed = next((each for each in lists if each.entry_of(one.names())), None)
        entry = listed.entry_of(one.names()) if listed else ""
        if listed:
            reason = listed.reason
        elif (one.video_id if options.exclude_whole_video else one.key) in naming:
            reason = "excluded_class"
        elif options.drop_duplicates and one.source_sha256:
            same = (one.source_sha256, one.start_s, one.end_s)
            reason, threshold = ("duplicate", 1.0) if same in seen else ("", 0.0)
            seen.add(same)
        if reason:
            excluded[one.key] = Exclusion(one.key, one.video_id, reason, threshold + 1.0, threshold, entry)
    return excluded


def _naming_excluded(ordered: Sequence[Candidate], options: ShardOptions) -> set[str]:
    """Ids (of videos or of clips, by `exclude_whole_video`) in which an excluded term occurs."""
    finder = TermFinder(options.exclude_terms)
    hits = (one for one in ordered if finder.any_in(*one.texts)) if finder.terms else ()
    return {one.video_id if options.exclude_whole_video else one.key for one in hits}


def _cut(split: str, members: Sequence[Candidate], options: ShardOptions) -> Iterator[ShardPlan]:
    held: list[Candidate] = []
    size_bytes, number = 0, 0
    for one in members:
        full = len(held) >= options.samples_per_shard or size_bytes + one.size_bytes > options.max_shard_bytes
        if held and full:
            yield ShardPlan(f"{split}-{number:06d}", split, tuple(item.key for item in held), size_bytes)
            held, size_bytes, number = [], 0, number + 1
        held.append(one)
        size_bytes += one.size_bytes
    if held:
        yield ShardPlan(f"{split}-{number:06d}", split, tuple(item.key for item in held), size_bytes)
