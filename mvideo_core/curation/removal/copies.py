"""A re-upload is another source of which at least half of the clips match the named source, even if they are
re-encoded, cropped by up to a fifth, mirrored, or played at half to twice the speed. Re-uploads are forgotten with the
source. A source with fewer matching clips is listed, but kept unless you name it, too.

The clips of the named source are turned into one timeline of perceptual hashes, those of the filter `duplicates`. A
clip of another source matches if four of its frames are on this timeline in the same order, at one speed. The two
videos need not be cut at the same places. Clips that `duplicates` has already hashed are not decoded again.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import CleanRow, ClipRow, PerceptualHashes
from mvideo_core.base.stopping import raise_if_stopped
from mvideo_core.curation.filters.bars import cut_bars_off
from mvideo_core.curation.filters.perceptual_hashes import DuplicatesOptions, PerceptualHasher
from mvideo_core.curation.filters.samples import N_SAMPLES, ClipSamples
from mvideo_core.media.camera import shrink
from mvideo_core.media.decode import read_frames
from mvideo_core.shards.near_duplicates import BITS, FLAT, MIRRORED, ZOOMS, frames_of, hash_frame
from mvideo_core.store.workspace import Workspace

log = logging.getLogger(__name__)
RATE_HZ = 8.0
"""Frames of the timeline per second."""
MAX_BITS = 10.0
"""Largest mean number of differing bits of 64 per frame (benchmarks/reuploads.py)."""
SPEEDS = tuple(0.5 * 1.035**step for step in range(43))
"""Speeds that are tried, half to 2.1 times the source's, close enough for `SLACK`."""
SLACK = 1
"""Frames of the timeline by which a frame may be off."""
GAP_SAMPLES = 3
"""From one hashed frame of a clip to the next, in steps of `ClipSamples`."""


class Copy(NamedTuple):
    """A source some of whose clips are in another source.

    Attributes:
        matched, clips: number of its clips that were found, and of those that have a hash.
        bits: mean of the matched ones.
    """

    key: str
    of: str
    matched: int
    clips: int
    bits: float

    @property
    def whole(self) -> bool:
        """Whether at least half of its clips were found, so that it counts as a re-upload."""
        return 2 * self.matched >= self.clips

    def words(self) -> str:
        """ "looks like video7: 4 of 5 clips, 3.2 bits"."""
        return f"looks like {self.of}: {self.matched} of {self.clips} clips, {self.bits:.1f} bits"


class Timeline:
    """Hashes of a source's frames, `RATE_HZ` per second; times without a clip have none.

    Args:
        frames: (time in seconds, hash at each of `ZOOMS`) in any order.
    """

    def __init__(self, frames: Iterable[tuple[float, Sequence[int]]]):
        found = {round(time_s * RATE_HZ): hashes for time_s, hashes in frames}
        first, last = min(found, default=0), max(found, default=-1)
        n = last - first + 1
        self.hashes_ZT = np.zeros((len(ZOOMS), n), np.uint64)
        self.known_T = np.zeros(n, bool)
        for place, hashes in found.items():
            self.hashes_ZT[:, place - first] = np.asarray(hashes, np.uint64)
            self.known_T[place - first] = True

    def distance(self, look: PerceptualHashes, gap_s: float) -> float:
        """Smallest mean number of differing bits of a clip's frames, over place, speed, zoom and mirroring.

        Args:
            gap_s: from one hashed frame of the clip to the next.
        """
        if not len(self.known_T):
            return float(BITS)
        clip_ZF = np.asarray([frames_of(text) for text in look.hashes], np.uint64)
        pairs = [(0, zoom) for zoom in range(len(ZOOMS))] + [(zoom, 0) for zoom in range(1, len(ZOOMS))]
        return min(self._nearest(clip_ZF[mine], self.hashes_ZT[theirs], mask, gap_s)
                   for mine, theirs in pairs for mask in (0, MIRRORED))  # fmt: skip

    def _nearest(self, clip_F: np.ndarray, source_T: np.ndarray, mask: int, gap_s: float) -> float:
        bits_FT = np.bitwise_count(source_T[None] ^ (clip_F ^ np.uint64(mask))[:, None]).astype(np.int16)
        bits_FT[:, ~self.known_T] = BITS
        wide = np.pad(bits_FT, ((0, 0), (SLACK, SLACK)), constant_values=BITS)
        near_FT = np.min([wide[:, at : at + bits_FT.shape[1]] for at in range(2 * SLACK + 1)], axis=0)
        n_frames, n_times = near_FT.shape
        best = float(near_FT.min(axis=1).mean())
        if best > MAX_BITS:  # no speed can be better
            return best
        best = float(BITS)
        for speed in SPEEDS:
            places = [round(frame * gap_s * speed * RATE_HZ) for frame in range(n_frames)]
            if (length := n_times - places[-1]) > 0:
                total_T = sum(near_FT[frame, place : place + length] for frame, place in enumerate(places))
                best = min(best, float(np.min(total_T)) / n_frames)
        return best


def find_copies(workspace: Workspace, sources: Sequence[str]) -> list[Copy]:
    """Sources that share clips with some sources, most alike first. It decodes every clip that has no hash yet.

    Args:
        sources: keys of the sources; they are not compared with each other.
    """
    rows = {row.key: row for row in workspace.current_rows("cut", ClipRow) if row.status == "ok" and row.clip}
    timelines = {key: timeline_of(workspace, [one for one in rows.values() if one.parent == key]) for key in sources}
    looks = {one.key: one.look for one in workspace.current_rows("clean", CleanRow) if one.look is not None}
    found: dict[tuple[str, str], list[float]] = {}
    clips: dict[str, int] = {}
    for row in rows.values():
        raise_if_stopped()
        if row.parent in timelines:
            continue
        look = looks.get(row.key) or look_of(workspace, row)
        if look is None:
            continue
        clips[row.parent] = clips.get(row.parent, 0) + 1
        for key, timeline in timelines.items():
            if (bits := timeline.distance(look, gap_s(row.n_frames, row.fps))) <= MAX_BITS:
                found.setdefault((row.parent, key), []).append(bits)
    copies = [
        Copy(key, of, len(bits), clips[key], round(sum(bits) / len(bits), 2)) for (key, of), bits in found.items()
    ]
    return sorted(copies, key=lambda one: (-one.matched / one.clips, one.bits, one.key))


def timeline_of(workspace: Workspace, clips: Iterable[ClipRow]) -> Timeline:
    """The timeline of a source from its clips."""
    return Timeline(frame for clip in clips for frame in _hash_clip(workspace, clip))


def hash_frames(frames: Iterable[np.ndarray], fps: float, start_s: float = 0.0) -> Iterator[tuple[float, list[int]]]:
    """Time and hashes of the frames of a clip, as many as the timeline has.

    Args:
        frames: (H, W, 3) uint8 RGB.
    """
    import cv2

    small = [shrink(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)) for frame in frames]
    if not small:
        return
    inner = cut_bars_off(np.stack(small))
    step = max(1, round(fps / RATE_HZ))
    for number in range(0, len(small), step):
        picture = inner[number]
        if float(picture.std()) >= FLAT:
            yield start_s + number / fps, [hash_frame(picture, zoom) for zoom in ZOOMS]


def look_of(workspace: Workspace, row: ClipRow) -> PerceptualHashes | None:
    """Hashes of four frames of a clip; None if a frame is too plain, or the clip cannot be read."""
    assert row.clip is not None
    try:
        with workspace.folder.open(row.clip.path) as stream:
            samples = ClipSamples.of(read_frames(stream), row.n_frames, row.fps, row.key)
    except MediaError as error:
        _warn(row, error)
        return None
    return PerceptualHasher(DuplicatesOptions()).perceptual_hashes(samples)


def gap_s(n_frames: int, fps: float) -> float:
    """Seconds from one hashed frame of a clip to the next."""
    return GAP_SAMPLES * max(n_frames - 2, 0) / (N_SAMPLES - 1) / max(fps, 1e-9)


def _hash_clip(workspace: Workspace, row: ClipRow) -> Iterator[tuple[float, list[int]]]:
    assert row.clip is not None
    try:
        with workspace.folder.open(row.clip.path) as stream:
            yield from hash_frames(read_frames(stream), row.fps, row.start_s)
    except MediaError as error:
        _warn(row, error)


def _warn(row: ClipRow, error: MediaError) -> None:
    log.warning("clip %s cannot be read (%s), so its copies are not found; `mvideo verify` says more", row.key, error)
