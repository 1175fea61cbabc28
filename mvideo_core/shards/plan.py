"""Which sample goes into which shard: exclusions, split by source video, seeded order. Nothing is opened or written."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from mvideo_core.errors import ConfigError
from mvideo_core.phrases import TermFinder
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


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One tar to write: its name without extension ("train-000000"), its split and the keys in order."""

    name: str
    split: str
    keys: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A triplet that stays out; `value` and `threshold` as in a filtered row."""

    key: str
    video_id: str
    reason: str
    value: float
    threshold: float


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """All shards, train first, and all that stays out; together they hold every candidate once."""

    shards: tuple[ShardPlan, ...]
    excluded: tuple[Exclusion, ...]


def plan_shards(candidates: Iterable[Candidate], options: ShardOptions) -> DatasetPlan:
    """The dataset's layout; depends on the set of candidates and the options, not on the order they come in.

    Args:
        candidates: all triplets.
        options: sizes, split, exclusions. Its lists are read from disk here.

    Raises:
        ConfigError: a key occurs twice, or a list cannot be read.
    """
    ordered = sorted(candidates, key=lambda one: one.key)
    for before, after in pairwise(ordered):
        if before.key == after.key:
            raise ConfigError(f"two samples have the key {after.key!r}; keys must be unique within a dataset")
    excluded = _exclusions(ordered, options)
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


def read_list(path: str) -> frozenset[str]:
    """Entries of a removal or held-out list: one a line; blank lines and lines that start with "#" do not count.

    Raises:
        ConfigError: the file cannot be read.
    """
    if not path:
        return frozenset()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this list of videos to leave out cannot be read: {error}") from None
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


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


def _exclusions(ordered: Sequence[Candidate], options: ShardOptions) -> dict[str, Exclusion]:
    """First reason that applies to each candidate that stays out, by key."""
    removed, held_out = read_list(options.removal_list), read_list(options.held_out_list)
    naming = _naming_excluded(ordered, options)
    seen: set[tuple[str, float, float]] = set()
    excluded: dict[str, Exclusion] = {}
    for one in ordered:
        ids = {one.key, one.video_id, one.source_sha256, one.source_url} - {""}
        reason, threshold = "", 0.0
        if ids & removed:
            reason = "removed_on_request"
        elif ids & held_out:
            reason = "held_out"
        elif (one.video_id if options.exclude_whole_video else one.key) in naming:
            reason = "excluded_class"
        elif options.drop_duplicates and one.source_sha256:
            same = (one.source_sha256, one.start_s, one.end_s)
            reason, threshold = ("duplicate", 1.0) if same in seen else ("", 0.0)
            seen.add(same)
        if reason:
            excluded[one.key] = Exclusion(one.key, one.video_id, reason, threshold + 1.0, threshold)
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
