"""Stress curves of objects of whole clips: how many, how fast, how small, how often hidden, how alike.

    python -m benchmarks.stress build/bench/stress --videos 3 --for-s 240   # continues where it was stopped
    python -m benchmarks.stress build/bench/stress --videos 3 --table       # of what is there

One rendered shot per video, 6 s at 8 frames/s, fixed camera, three moving objects of which one enters late. One thing
changes per curve; video n is the same shot at every level but for that. One JSON file per level, video and mode.
"""

import argparse
import dataclasses
import json
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.objects import Sums, figures, run_video
from mvideo_core.base.disk import write_whole
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.miniworld.world.kinds import coco_classes, kind_of
from mvideo_core.miniworld.world.make import write_source
from mvideo_core.miniworld.world.sample import occluder, place_actor, sample_shot
from mvideo_core.miniworld.world.source import SourceSpec
from mvideo_core.miniworld.world.spec import ActorSpec, CameraSpec, OccluderSpec, ShotSpec

MODES = ("first", "adaptive")
SECONDS, FPS, WIDTH, HEIGHT = 6.2, 8, 576, 384
N_OBJECTS = 3
LEVELS: dict[str, tuple[float, ...]] = {
    "objects": (1, 3, 6),
    "speed": (1, 2, 4),
    "size": (0.5, 1, 1.5),
    "occluders": (0, 1, 3),
    "look-alikes": (0, 2),
}
"""Number of objects; times the usual speed; times the usual size; posts in front; objects that look like the first."""
USUAL = {"objects": N_OBJECTS, "speed": 1, "size": 1, "occluders": 0, "look-alikes": 0}
ROWS = ("found", "J&F, all objects", "IDF1", "crossings kept")


def shot_of(number: int, factor: str, level: float) -> ShotSpec:
    """The shot of one video at one level."""
    rng = random.Random(f"mini-world-stress/{number}")
    base = sample_shot(number, "heldout", duration_s=SECONDS)
    given = USUAL | {factor: level}
    actors: list[ActorSpec] = []
    names = [name for name in coco_classes() if any(one.speed for one in kind_of(name).actions)]
    for n in range(int(max(LEVELS["objects"]))):  # always all, so that the first ones do not depend on their number
        role = "late" if n % 3 == 2 else "behind"  # both are roles of objects that move
        actors.append(place_actor(rng, base.scene, rng.choice(names), role, actors, SECONDS, base.aspect))
    actors = actors[: int(given["objects"])]
    for n in range(1, 1 + int(given["look-alikes"])):
        actors[n] = _like(actors[0], actors[n])
    actors = [_scale(one, given["size"], given["speed"]) for one in actors]
    still = CameraSpec("static", (0.0, 0.5, 1.0), (0.0, 0.5, 1.0))
    posts = tuple(_posts(rng, int(given["occluders"]), base.aspect))
    return dataclasses.replace(base, actors=tuple(actors), occluders=posts, camera=still)


def _like(first: ActorSpec, other: ActorSpec) -> ActorSpec:
    """The other object with the looks of the first one, a little farther away, on its own way."""
    away = 0.03 * other.object_id
    return dataclasses.replace(
        first,
        object_id=other.object_id,
        path=dataclasses.replace(other.path, y=first.path.y - away, wave=first.path.wave),
        facing=other.facing,
        phase=other.phase,
        depth=first.depth - away,
        role=other.role,
    )


def _scale(one: ActorSpec, size: float, speed: float) -> ActorSpec:
    path = dataclasses.replace(one.path, vx=one.path.vx * speed)
    return dataclasses.replace(one, height=one.height * size, path=path)


def _posts(rng: random.Random, number: int, aspect: float) -> Iterator[OccluderSpec]:
    """Evenly over the width, in front of everything."""
    for n in range(number):
        yield occluder(rng, aspect * ((n + 0.5) / number - 0.5), 0.95, 0.6, 2.0, ("trunk", "pillar"))


def write_shot(folder: Path, number: int, factor: str, level: float) -> None:
    """The video of one level and its truth."""
    shot, n_frames = shot_of(number, factor, level), int(SECONDS * FPS)
    name = f"stress_{factor.replace('-', '_')}_{number:05d}"
    write_source(SourceSpec(name, number, "heldout", WIDTH, HEIGHT, Fraction(FPS), (shot,), (n_frames,), ()), folder)


def measure(out: Path, videos: int, factors: Sequence[str], for_s: float) -> None:
    """Measure what has no file yet, until the time is over; levels of a video follow each other."""
    until = time.monotonic() + for_s
    for number in range(videos):
        for factor in factors:
            for level in LEVELS[factor]:
                same = _name(*_point(factor, level), number, "")
                missing = [mode for mode in MODES if not (out / f"{same}{mode}.json").exists()]
                if not missing:
                    continue
                if time.monotonic() > until:
                    return
                work = out / "work"
                shutil.rmtree(work, ignore_errors=True)
                draw = partial(write_shot, number=number, factor=factor, level=level)
                cut = {"trim_s": 0, "min_frames": 9, "min_shot_s": 1}
                for mode, sums in run_video(work, draw, missing, {}, cut=cut).items():
                    write_whole(out / f"{same}{mode}.json", json.dumps(sums) + "\n")
                shutil.rmtree(work)


def _point(factor: str, level: float) -> tuple[str, float]:
    """The usual level of every factor is the same shot."""
    return ("objects", N_OBJECTS) if level == USUAL[factor] else (factor, level)


def _name(factor: str, level: float, number: int, mode: str) -> str:
    return f"{factor}-{level:g}-{number:03d}-{mode}"


def curves(out: Path, videos: int, factors: Sequence[str] = tuple(LEVELS)) -> dict[str, Any]:
    """By factor, level and mode: figures over the videos that every mode has at this level, and their number."""
    found: dict[str, Any] = {}
    for factor in factors:
        for level in LEVELS[factor]:
            point = _point(factor, level)
            sums: dict[str, list[Sums]] = {mode: [] for mode in MODES}
            for number in range(videos):
                files = [out / f"{_name(*point, number, mode)}.json" for mode in MODES]
                if all(file.exists() for file in files):
                    for mode, file in zip(MODES, files, strict=True):
                        sums[mode].append(json.loads(file.read_text("utf-8")))
            if sums[MODES[0]]:
                row = {mode: {name: round(figures(held)[name], 3) for name in ROWS} for mode, held in sums.items()}
                counts = {key: sum(one[key] for one in sums[MODES[0]]) for key in ("objects", "crossings")}
                found.setdefault(factor, {})[f"{level:g}"] = {"videos": len(sums[MODES[0]]), **counts, **row}
    return found


def table(found: dict[str, Any]) -> Iterator[str]:
    """Markdown: a level per row, first and adaptive in each cell."""
    yield f"| | Videos, objects, crossings | {' | '.join(ROWS)} |"
    yield "|---|---|" + "---|" * len(ROWS)
    for factor, levels in found.items():
        for level, one in levels.items():
            cells = [", ".join(_cell(one, mode, row) for mode in MODES) for row in ROWS]
            yield f"| {factor} {level} | {one['videos']}, {one['objects']}, {one['crossings']} | {' | '.join(cells)} |"


def _cell(one: dict[str, Any], mode: str, row: str) -> str:
    return "-" if row == "crossings kept" and not one["crossings"] else f"{one[mode][row]:.2f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--videos", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=LEVELS, default=tuple(LEVELS))
    parser.add_argument("--for-s", type=float, default=float("inf"), help="begin no video after this time")
    parser.add_argument("--table", action="store_true", help="only print the table of what is there")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args(argv)
    with errors_in_one_line():
        given.out.mkdir(parents=True, exist_ok=True)
        if not given.table:
            measure(given.out, given.videos, given.only, given.for_s)
        found = curves(given.out, given.videos, given.only)
        if given.json:
            write_whole(given.json, json.dumps(found, indent=1) + "\n")
        print("\n".join(table(found)))


if __name__ == "__main__":
    main()
