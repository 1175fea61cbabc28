"""Candidates of a dataset in a database file: memory does not grow with them. SQLite does the sorting and joining."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.term_search import TermFinder
from mvideo_core.shards.candidates import Candidate, Exclusion, draw, split_of
from mvideo_core.shards.exclusion_lists import ExclusionList
from mvideo_core.shards.near_duplicates import find_near_duplicates
from mvideo_core.shards.options import ShardOptions

CACHE_KIB = 32 << 10
"""Memory for the database's pages and for each sort; the rest goes to TMPDIR."""
RECENT = 4096
"""Videos and sources whose numbers are cached: clips of one source come together."""
_SCHEMA = """
CREATE TABLE name (number INTEGER PRIMARY KEY, text TEXT UNIQUE);
CREATE TABLE candidate (
    key TEXT PRIMARY KEY, video INTEGER, source INTEGER, start_s REAL, end_s REAL, size_bytes INTEGER, draw REAL,
    reason TEXT, entry TEXT, names_term INTEGER, record BLOB, look TEXT
);
CREATE TABLE excluded (
    key TEXT PRIMARY KEY, video INTEGER, reason TEXT, value REAL, threshold REAL, entry TEXT, message TEXT DEFAULT ''
) WITHOUT ROWID;
"""
_LISTED = """
INSERT INTO excluded SELECT key, video, reason, 1, 0, entry, '' FROM candidate WHERE reason IS NOT NULL
"""
_NAMING = """
INSERT OR IGNORE INTO excluded SELECT key, video, 'excluded_class', 1, 0, '', '' FROM candidate
WHERE {column} IN (SELECT {column} FROM candidate WHERE names_term)
"""
_DOUBLES = """
INSERT INTO excluded SELECT key, video, 'duplicate', 2, 1, '', '' FROM (
    SELECT key, video, row_number() OVER (PARTITION BY source, start_s, end_s ORDER BY key) AS nth
    FROM candidate WHERE source IS NOT NULL AND key NOT IN (SELECT key FROM excluded)
) WHERE nth > 1
"""
_ALIKE = "INSERT INTO excluded VALUES (?, ?, 'near_duplicate', ?, ?, '', ?)"
_SIDES = """
CREATE TABLE first AS
    SELECT source, min(text) AS text FROM candidate JOIN name ON number = video
    WHERE source IS NOT NULL GROUP BY source;
CREATE UNIQUE INDEX first_of ON first (source);
CREATE TABLE side (video INTEGER PRIMARY KEY, test INTEGER);
INSERT INTO side SELECT video, is_test(coalesce(first.text, name.text)) FROM (
    SELECT video, source, max(key) FROM candidate GROUP BY video
) JOIN name ON name.number = video LEFT JOIN first USING (source);
"""
_MEMBERS = """
SELECT key, size_bytes FROM candidate JOIN side USING (video)
WHERE test = ? AND key NOT IN (SELECT key FROM excluded) ORDER BY draw, key
"""
_NUMBERS = """
CREATE TABLE nth (number INTEGER PRIMARY KEY, key TEXT);
INSERT INTO nth SELECT row_number() OVER (ORDER BY key) - 1, key FROM excluded;
"""
_EXCLUSIONS = """
SELECT key, text, reason, value, threshold, entry, message
FROM nth CROSS JOIN excluded USING (key) CROSS JOIN name ON name.number = video
WHERE nth.number % ? = ? ORDER BY nth.number
"""
"""With this order of joins, rows of other parts are skipped before anything else is read."""


class CandidateTable:
    """All candidates, and the decision about each.

    Args:
        path: new database file; None = in memory, for small sets.
        lists: the options' lists.
    """

    def __init__(self, options: ShardOptions, lists: Sequence[ExclusionList], path: Path | None = None):
        self._options, self._lists = options, lists
        self._finder = TermFinder(options.exclude_terms)
        self.db = sqlite3.connect(path or ":memory:")
        self.db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KIB};")
        self.db.executescript(_SCHEMA)
        self._given: dict[str, str] = {}
        self.db.create_function("is_test", 1, self._is_test, deterministic=True)
        self._number = lru_cache(RECENT)(self._find_number)

    def add(self, one: Candidate, record: bytes = b"") -> None:
        """Store a candidate's numbers, the verdict of lists and excluded terms, and a record for later.

        Raises:
            ConfigError: the key already exists, or the video is in both splits.
        """
        if one.split and self._given.setdefault(one.video_id, one.split) != one.split:
            raise ConfigError(
                f"video {one.video_id} has clips in {self._given[one.video_id]} and in {one.split} ({one.key}); all "
                "clips of a video belong to one split"
            )
        names = one.names()
        reason = entry = None
        for each in self._lists:
            each.note(names)
            if reason is None and (found := each.entry_of(names)):
                reason, entry = each.reason, found
        naming = bool(self._finder.terms) and self._finder.any_in(*one.texts)
        source = self._number(one.source_sha256) if one.source_sha256 else None
        order = draw(f"order/{self._options.split_seed}/{one.key}")
        try:
            self.db.execute(
                "INSERT INTO candidate VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    one.key, self._number(one.video_id), source, one.start_s, one.end_s, one.size_bytes, order,
                    reason, entry, naming, record, one.look and one.look.model_dump_json(),
                ),
            )  # fmt: skip
        except sqlite3.IntegrityError:
            raise ConfigError(f"two samples have the key {one.key!r}; keys must be unique within a dataset") from None

    def decide(self) -> None:
        """Fill the tables of exclusions (the first reason counts: lists, terms, duplicates,
        near duplicates) and of the videos' sides.

        Byte-equal source files are one video: the first name decides; for a video with several files, the side of the
        last clip.
        """
        self.db.execute(_LISTED)
        if self._finder.terms:
            self.db.execute(_NAMING.format(column="video" if self._options.exclude_whole_video else "key"))
        if self._options.drop_duplicates:
            self.db.execute(_DOUBLES)
        alike = list(find_near_duplicates(self.db))
        self.db.executemany(_ALIKE, [one[:2] + one[3:] + (f"looks like {one.first}",) for one in alike])
        self.db.executescript(_SIDES + _NUMBERS)

    def members(self, test: bool) -> Iterator[tuple[str, int]]:
        """(key, bytes) of the kept samples of one split, in the seeded order of the dataset."""
        yield from self.db.execute(_MEMBERS, (test,))

    def exclusions(self, start: int = 0, step: int = 1) -> Iterator[Exclusion]:
        """The excluded triplets once all are decided, by key: every `step`-th from `start` on."""
        for row in self.db.execute(_EXCLUSIONS, (step, start)):
            yield Exclusion(*row)

    def record(self, key: str) -> bytes:
        """The record stored with a key."""
        (record,) = self.db.execute("SELECT record FROM candidate WHERE key = ?", (key,)).fetchone()
        return bytes(record)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def _is_test(self, video: str) -> bool:
        """Which split a video is in: the given one, or one by hash."""
        return (self._given.get(video) or split_of(video, self._options)) == "test"

    def _find_number(self, text: str) -> int:
        """The number of a video's or source's name; a new name gets a new number."""
        self.db.execute("INSERT OR IGNORE INTO name (text) VALUES (?)", (text,))
        (number,) = self.db.execute("SELECT number FROM name WHERE text = ?", (text,)).fetchone()
        return int(number)
