"""Recall of re-uploads, and sources taken for one that are not, on synthetic videos.

`python -m benchmarks.reuploads --state FILE` prints the table of docs/results/clean_clips.md. What is measured is kept
in FILE, so that a stopped run continues.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from benchmarks.clean_clips import clean_shot
from mvideo_core.base.records import PerceptualHashes
from mvideo_core.curation.filters.perceptual_hashes import DuplicatesOptions, PerceptualHasher
from mvideo_core.curation.filters.samples import ClipSamples
from mvideo_core.curation.removal.copies import MAX_BITS, Timeline, gap_s, hash_frames
from mvideo_core.media.decode import read_frames
from mvideo_core.media.encode import write_mp4
from mvideo_core.miniworld.world.render import render_shot

WIDTH, HEIGHT, RATE, FPS = 192, 128, 16.0, 8.0
"""Sources are drawn at `RATE`, clips have `FPS`, like those of the cut stage."""
N_DRAWN, N_CLIP = 96, 33
PLAIN_BITS = 64.0
"""Distance of a copy that is too plain for a hash."""
Frames = list[np.ndarray]
Draw = random.Random


def crop(frames: Frames, draw: Draw) -> Frames:
    """3 to 9% less at each side, scaled up."""
    x, y = (round(draw.uniform(0.03, 0.09) * side) for side in (WIDTH, HEIGHT))
    return [cv2.resize(frame[y : HEIGHT - y, x : WIDTH - x], (WIDTH, HEIGHT)) for frame in frames]


def mirror(frames: Frames, _draw: Draw) -> Frames:
    """Left and right exchanged."""
    return [np.ascontiguousarray(frame[:, ::-1]) for frame in frames]


def scale_down(frames: Frames, _draw: Draw) -> Frames:
    """Scaled to 60% and back."""
    small = [cv2.resize(frame, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA) for frame in frames]
    return [cv2.resize(frame, (WIDTH, HEIGHT)) for frame in small]


def change_speed(frames: Frames, speed: float, start: int) -> Frames:
    """A clip of the frames at another speed; it ends where they end."""
    step = RATE / FPS * speed
    numbers = [start + round(n * step) for n in range(N_CLIP)]
    return [frames[number] for number in numbers if number < len(frames)]


def keep(frames: Frames, _draw: Draw) -> Frames:
    """The same pixels; every copy is re-encoded."""
    return frames


COPIES: dict[str, tuple[tuple[float, float], Callable[[Frames, Draw], Frames]]] = {
    "re-encoded": ((1, 1), keep),
    "smaller": ((1, 1), scale_down),
    "cropped": ((1, 1), crop),
    "mirrored": ((1, 1), mirror),
    "faster": ((1.1, 2.0), keep),
    "slower": ((0.6, 0.9), keep),
    "cropped, mirrored, faster": ((1.1, 1.6), lambda frames, draw: mirror(crop(frames, draw), draw)),
}
"""Range of speeds, and what is done to the pixels. The copy begins up to a second later than the source."""


def look(frames: Frames, crf: int) -> tuple[PerceptualHashes | None, float]:
    """The hashes of a clip file with these frames, and the seconds between them."""
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        path = Path(folder) / "clip.mp4"
        write_mp4(frames, path, FPS, crf=crf)
        samples = ClipSamples.of(read_frames(path), len(frames), FPS)
        return PerceptualHasher(DuplicatesOptions()).perceptual_hashes(samples), gap_s(len(frames), FPS)


def render(seed: int, n_frames: int, rate: float) -> Frames:
    """Frames of a shot of the synthetic world."""
    return [frame.rgb for frame in render_shot(clean_shot(seed, "heldout"), n_frames, WIDTH, HEIGHT, rate)]


def source(seed: int) -> dict[str, Any]:
    """A source's hashes, and the distance of each of its copies."""
    frames, draw = render(seed, N_DRAWN, RATE), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        path = Path(folder) / "clip.mp4"
        write_mp4(frames[:: round(RATE / FPS)], path, FPS, crf=18)
        hashes = list(hash_frames(read_frames(path), FPS))
    timeline, bits = Timeline(hashes), {}
    for name, (speeds, change) in COPIES.items():
        part = change_speed(frames, draw.uniform(*speeds), draw.randrange(round(RATE)))
        found, gap = look(change(part, draw), crf=32)
        bits[name] = None if found is None else timeline.distance(found, gap)
    return {"source": seed, "hashes": hashes, "bits": bits}


def other(seed: int) -> dict[str, Any]:
    """The hashes of an unrelated source's clip."""
    found, gap = look(render(seed, N_CLIP, FPS), crf=23)
    return {"other": seed, "hashes": None if found is None else found.hashes, "gap_s": gap}


def measure(state: Path, n_sources: int, n_others: int) -> list[dict[str, Any]]:
    """All results, those of an earlier run included."""
    known = [json.loads(line) for line in state.read_text().splitlines()] if state.exists() else []
    done = {(name, one[name]) for one in known for name in ("source", "other") if name in one}
    wanted = [("source", seed) for seed in range(n_sources)] + [("other", 10_000 + seed) for seed in range(n_others)]
    with state.open("a", encoding="utf-8") as out:
        for name, seed in wanted:
            if (name, seed) not in done:
                known.append(source(seed) if name == "source" else other(seed))
                out.write(json.dumps(known[-1]) + "\n")
                out.flush()
    return known


class Counts(NamedTuple):
    """Copies found of all, by kind and in total; unrelated sources, and those taken for a copy.

    Attributes:
        bits: distances of the copies, by kind.
        nearest: distances of unrelated sources to the most similar source.
    """

    bits: dict[str, list[float]]
    copies: int
    found: int
    nearest: list[float]
    others: int
    wrong: int


def counts(results: list[dict[str, Any]]) -> Counts:
    """What was measured, in numbers. A source or copy that is too plain for a hash counts as not found."""
    sources = [one for one in results if "source" in one]
    others = [one for one in results if "other" in one]
    plain = dict.fromkeys(COPIES, PLAIN_BITS)
    by_kind = [
        {name: value if value is not None else PLAIN_BITS for name, value in one["bits"].items()} for one in sources
    ]
    bits = {name: [(plain | one)[name] for one in by_kind] for name in COPIES}
    timelines = [Timeline((time_s, hashes) for time_s, hashes in one["hashes"]) for one in sources]
    nearest = [nearest_source(one, timelines) for one in others if one["hashes"]]
    every = [value for values in bits.values() for value in values]
    return Counts(
        bits, len(every), sum(value <= MAX_BITS for value in every), nearest, len(others),
        sum(value <= MAX_BITS for value in nearest),
    )  # fmt: skip


def table(results: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown: found copies by kind, and unrelated sources that look like one of the sources."""
    seen = counts(results)
    yield "| Copy | Found | Bits that differ: median, largest |"
    yield "|---|---|---|"
    for name, bits in seen.bits.items():
        hit = sum(value <= MAX_BITS for value in bits)
        yield f"| {name} | {hit} of {len(bits)} | {np.median(bits):.1f}, {max(bits):.1f} |"
    yield f"| all | {seen.found} of {seen.copies} ({seen.found / max(seen.copies, 1):.3f}) | |"
    yield ""
    yield (
        f"Unrelated sources: {seen.wrong} of {seen.others} look like one of the sources (limit {MAX_BITS:g} bits; "
        f"smallest distances {', '.join(f'{bits:.1f}' for bits in sorted(seen.nearest)[:3])}; "
        f"{seen.others - len(seen.nearest)} too plain for a hash)."
    )


def nearest_source(one: dict[str, Any], timelines: list[Timeline]) -> float:
    """Distance of an unrelated clip to the most similar source, bits per frame."""
    found = PerceptualHashes(hashes=one["hashes"], max_bits=MAX_BITS)
    return min(timeline.distance(found, one["gap_s"]) for timeline in timelines)


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="file of the results")
    parser.add_argument("--sources", type=int, default=60)
    parser.add_argument("--others", type=int, default=500)
    given = parser.parse_args()
    print("\n".join(table(measure(given.state, given.sources, given.others))))


if __name__ == "__main__":
    main()
