"""Near duplicates among the candidates of a dataset, from hashes of their frames; an index keeps memory flat.

The result depends on the set of candidates only. Of clips that look alike, the first by key is kept. Clips of one
source are not compared: two clips of a quiet shot look alike, too.
"""

import random
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from mvideo_core.base.records import PerceptualHashes

BITS = 64
MIRRORED = sum(1 << (BITS - 1 - bit) for bit in range(BITS) if bit % 8 % 2)
"""Bits of a frame's hash that flip if the frame is mirrored: odd horizontal frequencies."""
_BANDS, _BAND_BITS = 32, 20
"""Clips are compared if they agree in all bits of a band: with 6 of 64 bits different, 99% of pairs do."""
_SCHEMA = """
CREATE TABLE look (number INTEGER PRIMARY KEY, key TEXT, video INTEGER, look TEXT);
CREATE TABLE band (band INTEGER, bits INTEGER, number INTEGER, PRIMARY KEY (band, bits, number)) WITHOUT ROWID;
"""
_SHARING = "SELECT number FROM band WHERE band = ? AND bits = ?"
_WAITING = """
SELECT key, video, look FROM candidate
WHERE look IS NOT NULL AND key NOT IN (SELECT key FROM excluded) ORDER BY key
"""


class NearDuplicate(NamedTuple):
    """A candidate that looks like an earlier one, the mean number of differing bits per frame, and the limit."""

    key: str
    video: int
    first: str
    bits: float
    max_bits: float


def find_near_duplicates(db: sqlite3.Connection) -> Iterator[NearDuplicate]:
    """Candidates of the open table (`CandidateTable`) that look like one kept before, in the order of their keys."""
    db.executescript(_SCHEMA)
    reader = db.cursor()
    for number, (key, video, text) in enumerate(reader.execute(_WAITING)):
        look = PerceptualHashes.model_validate_json(text)
        hashes = [frames_of(one) for one in look.hashes]
        if (nearest := _nearest(db, hashes, video)) is not None and nearest[0] <= look.max_bits:
            yield NearDuplicate(key, video, nearest[1], nearest[0], look.max_bits)
            continue
        db.execute("INSERT INTO look VALUES (?, ?, ?, ?)", (number, key, video, text))
        bands = {(band, bits, number) for frames in hashes for band, bits in enumerate(_bands(frames))}
        db.executemany("INSERT INTO band VALUES (?, ?, ?)", sorted(bands))


def distance(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> float:
    """Smallest mean number of differing bits per frame, over zooms and mirroring; at least one is the whole picture."""
    pairs = [(first[0], other) for other in second] + [(other, second[0]) for other in first[1:]]
    return min(_bits(one, other, mask) for one, other in pairs for mask in (0, MIRRORED))


def _nearest(db: sqlite3.Connection, hashes: list[tuple[int, ...]], video: int) -> tuple[float, str] | None:
    """(bits, key) of the most similar clip of another source that shares a band; the first by key among equals."""
    asked = [*hashes, *(tuple(frame ^ MIRRORED for frame in frames) for frames in hashes)]
    numbers: set[int] = set()
    for frames in asked:
        for band, bits in enumerate(_bands(frames)):
            numbers.update(number for (number,) in db.execute(_SHARING, (band, bits)))
    found = []
    for number in sorted(numbers):
        key, other, text = db.execute("SELECT key, video, look FROM look WHERE number = ?", (number,)).fetchone()
        if other != video:
            look = PerceptualHashes.model_validate_json(text)
            found.append((distance(hashes, [frames_of(one) for one in look.hashes]), key))
    return min(found, default=None)


def frames_of(text: str) -> tuple[int, ...]:
    """Hashes of the frames, from their hexadecimal text."""
    return tuple(int(text[at : at + BITS // 4], 16) for at in range(0, len(text), BITS // 4))


def _bits(one: tuple[int, ...], other: tuple[int, ...], mask: int) -> float:
    return sum((a ^ b ^ mask).bit_count() for a, b in zip(one, other, strict=True)) / len(one)


def _bands(frames: tuple[int, ...]) -> Iterator[int]:
    """Some bits of all frames together, for each band."""
    for places in _PLACES:
        yield sum(((frames[frame] >> bit) & 1) << at for at, (frame, bit) in enumerate(places))


def _draw_places(n_frames: int = 4) -> list[list[tuple[int, int]]]:
    """Which bits each band takes; fixed, since the result may not change from run to run."""
    draw = random.Random("near duplicates")
    every = [(frame, bit) for frame in range(n_frames) for bit in range(BITS - 1)]
    return [draw.sample(every, _BAND_BITS) for _ in range(_BANDS)]


_PLACES = _draw_places()
