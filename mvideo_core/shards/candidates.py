"""Candidates of a dataset, held in columns: a key and about 50 bytes of numbers each, so that 10 million fit."""

import hashlib
from array import array
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from mvideo_core.errors import ConfigError
from mvideo_core.phrases import TermFinder
from mvideo_core.shards.exclusion_lists import ExclusionList
from mvideo_core.shards.options import ShardOptions


@dataclass(frozen=True, slots=True)
class Candidate:
    """What planning needs to know of a triplet.

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
class Exclusion:
    """A triplet that stays out; `value` and `threshold` as in a filtered row, `entry` is the list's line behind it."""

    key: str
    video_id: str
    reason: str
    value: float
    threshold: float
    entry: str = ""


class Columns:
    """All candidates, by the row in which they came.

    Attributes:
        keys: of the clips.
        size_bytes: of the samples within a tar.
    """

    def __init__(self, options: ShardOptions, lists: Sequence[ExclusionList]):
        self._options, self._lists = options, lists
        self._finder = TermFinder(options.exclude_terms)
        self.keys: list[str] = []
        self.size_bytes = array("q")
        self._videos, self._sources = _Numbered(), _Numbered()
        self._video, self._source = array("i"), array("i")
        self._start_s, self._end_s = array("d"), array("d")
        self._naming: set[str] = set()
        self._listed: dict[str, tuple[str, str]] = {}

    def add(self, one: Candidate) -> None:
        """Keep the numbers of a candidate, and what lists and excluded terms say about it."""
        names = one.names()
        for each in self._lists:
            each.note(names)
            if one.key not in self._listed and (entry := each.entry_of(names)):
                self._listed[one.key] = (each.reason, entry)
        if self._finder.terms and self._finder.any_in(*one.texts):
            self._naming.add(one.video_id if self._options.exclude_whole_video else one.key)
        self.keys.append(one.key)
        self.size_bytes.append(one.size_bytes)
        self._video.append(self._videos.number(one.video_id))
        self._source.append(self._sources.number(one.source_sha256))
        self._start_s.append(one.start_s)
        self._end_s.append(one.end_s)

    def by_key(self) -> np.ndarray:
        """Rows in the order of their keys.

        Raises:
            ConfigError: a key occurs twice.
        """
        order = np.array(sorted(range(len(self.keys)), key=self.keys.__getitem__), np.int64)
        for n in range(1, len(order)):
            if self.keys[order[n - 1]] == self.keys[order[n]]:
                raise ConfigError(
                    f"two samples have the key {self.keys[order[n]]!r}; keys must be unique within a dataset"
                )
        return order

    def exclusions(self, order: np.ndarray) -> dict[str, Exclusion]:
        """First reason that applies to each candidate that stays out, by key.

        Args:
            order: rows by key.
        """
        found: dict[str, Exclusion] = {}
        for row in order if self._listed or self._naming else ():
            key, video_id = self.keys[row], self._videos.names[self._video[row]]
            if key in self._listed:
                reason, entry = self._listed[key]
                found[key] = Exclusion(key, video_id, reason, 1.0, 0.0, entry)
            elif (video_id if self._options.exclude_whole_video else key) in self._naming:
                found[key] = Exclusion(key, video_id, "excluded_class", 1.0, 0.0)
        if self._options.drop_duplicates:
            for row in self._doubles(order[self.outside(order, found)]):
                key = self.keys[row]
                found[key] = Exclusion(key, self._videos.names[self._video[row]], "duplicate", 2.0, 1.0)
        return found

    def outside(self, rows: np.ndarray, keys: Container[str]) -> np.ndarray:
        """For each of some rows, whether its key is not among those given."""
        return np.fromiter((self.keys[row] not in keys for row in rows), bool, len(rows))

    def test_side(self, order: np.ndarray) -> np.ndarray:
        """For each row, whether its video is on the test side. Byte-equal source files are one video here.

        Args:
            order: rows by key.
        """
        first: dict[int, str] = {}
        for video, source in zip(self._video, self._source, strict=True):
            if self._sources.names[source]:
                name = self._videos.names[video]
                first[source] = min(first.get(source, name), name)
        video, source = np.asarray(self._video)[order], np.asarray(self._source)[order]
        of_video = np.zeros(len(self._videos.names), bool)
        source_of = np.zeros(len(self._videos.names), np.int64)
        source_of[video] = source  # of a video of several files, the last one counts
        for number, name in enumerate(self._videos.names):
            stands_for = first.get(int(source_of[number]), name)
            of_video[number] = split_of(stands_for, self._options) == "test"
        return of_video[np.asarray(self._video)]

    def _doubles(self, rows: np.ndarray) -> np.ndarray:
        """Of rows in the order of their keys, those whose source and span occurred before."""
        source, start_s, end_s = (np.asarray(one)[rows] for one in (self._source, self._start_s, self._end_s))
        known = np.array([bool(name) for name in self._sources.names], bool)[source] if len(rows) else np.zeros(0, bool)
        rows, source, start_s, end_s = rows[known], source[known], start_s[known], end_s[known]
        order = np.lexsort((end_s, start_s, source))  # stable: equal ones stay in the order of their keys
        same = np.ones(max(len(order) - 1, 0), bool)
        for column in (source, start_s, end_s):
            same &= column[order][1:] == column[order][:-1]
        return rows[np.sort(order[1:][same])]


class _Numbered:
    """Names, each kept once; their numbers follow the order in which they came."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self.names)
            self.names.append(name)
        return self._numbers[name]


def split_of(video_id: str, options: ShardOptions) -> str:
    """ "test" for about `test_frac` of all ids, by hash and seed: adding a video moves no other to the other side."""
    return "test" if draw(f"split/{options.split_seed}/{video_id}") < options.test_frac else "train"


def draw(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
