"""Near duplicates: the same footage in two sources, re-encoded, cropped, mirrored or with bars.

The stage `clean` hashes frames of each clip (filter "duplicates": `curation/filters/perceptual_hashes.py`), the stage
`shard` compares the hashes of all candidates of a dataset; an index keeps memory flat. The result depends on the set of
candidates only. Of clips that look alike, the first by key is kept. Clips of one source are not compared: two clips of
a quiet shot look alike, too.
"""

import random
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mvideo_core.base.records import PerceptualHashes

N_FRAMES = 4
"""Frames of a clip that are hashed."""
ZOOMS = (1.0, 0.9, 0.8)
"""Parts of the picture that are hashed: a copy cropped by up to a fifth matches a part of its original."""
FLAT = 4.0
"""A frame with a smaller standard deviation of luma has no hash."""
_SIDE, _FREQUENCIES = 32, 8
BITS = _FREQUENCIES**2
MIRRORED = sum(1 << (BITS - 1 - bit) for bit in range(BITS) if bit % _FREQUENCIES % 2)
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


def hash_frame(gray_HW: np.ndarray, zoom: float = 1.0) -> int:
    """64 bits: signs of the 8x8 lowest frequencies of the picture's middle part; the first bit, brightness, is 0.

    Mirroring the picture flips the bits of odd horizontal frequencies (`MIRRORED`).
    """
    import cv2

    height, width = gray_HW.shape
    y, x = round((1 - zoom) / 2 * height), round((1 - zoom) / 2 * width)
    part = np.ascontiguousarray(gray_HW[y : height - y, x : width - x])
    small = cv2.resize(part, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    signs = (cv2.dct(small)[:_FREQUENCIES, :_FREQUENCIES] > 0).ravel()
    signs[0] = False
    return int.from_bytes(np.packbits(signs).tobytes(), "big")


def hash_clip(gray_FHW: np.ndarray) -> list[str]:
    """The text of `PerceptualHashes.hashes`, one for each of `ZOOMS`; empty if a frame is too plain to recognize.

    Args:
        gray_FHW: `N_FRAMES` frames without black bars, uint8 luma.
    """
    if min(float(frame.std()) for frame in gray_FHW) < FLAT:
        return []
    return ["".join(f"{hash_frame(frame, zoom):016x}" for frame in gray_FHW) for zoom in ZOOMS]


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


def _draw_places(n_frames: int = N_FRAMES) -> list[list[tuple[int, int]]]:
    """Which bits each band takes; fixed, since the result may not change from run to run."""
    draw = random.Random("near duplicates")
    every = [(frame, bit) for frame in range(n_frames) for bit in range(BITS - 1)]
    return [draw.sample(every, _BAND_BITS) for _ in range(_BANDS)]


_PLACES = _draw_places()
