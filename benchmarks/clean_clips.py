"""Precision and recall of every clip filter on synthetic faults, and the values on clips of real videos.

`python -m benchmarks.clean_clips --seeds 0-59` prints the tables of docs/results/clean_clips.md; `--folder FOLDER`
prints the values of the videos in it instead, without their names.
"""

import argparse
import dataclasses
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mvideo_core.base.listing import visible_files
from mvideo_core.base.records import CleanRow, PerceptualHashes
from mvideo_core.curation.filters import CLIP_FILTERS, ClipFilter
from mvideo_core.curation.filters.samples import ClipSamples
from mvideo_core.curation.stages.clean import judge_clip
from mvideo_core.media.decode import read_frames
from mvideo_core.media.encode import write_mp4
from mvideo_core.miniworld.world.render import render_shot
from mvideo_core.miniworld.world.sample import sample_shot
from mvideo_core.miniworld.world.spec import CameraSpec, ShotSpec, Split
from mvideo_core.shards.near_duplicates import distance, frames_of

WIDTH, HEIGHT, FPS, N_FRAMES = 480, 320, 8.0, 33
Frames = list[np.ndarray]
Draw = random.Random


class Fault(NamedTuple):
    """A fault that a filter should find: its name, and how a clean clip gets it."""

    filter: str
    name: str
    apply: Callable[[Frames, ShotSpec, Draw], Frames]


def letterbox(frames: Frames, _spec: ShotSpec, draw: Draw) -> Frames:
    """Black bars above and below, 5 to 15% each."""
    bar = round(draw.uniform(0.05, 0.15) * HEIGHT)
    return [_pad(cv2.resize(frame, (WIDTH, HEIGHT - 2 * bar), interpolation=cv2.INTER_AREA)) for frame in frames]


def pillarbox(frames: Frames, _spec: ShotSpec, draw: Draw) -> Frames:
    """Black bars left and right, 8 to 33% each: a vertical video in a wide frame."""
    bar = round(draw.uniform(0.08, 0.33) * WIDTH)
    return [_pad(frame[:, bar : WIDTH - bar]) for frame in frames]


def slide(frames: Frames, _spec: ShotSpec, _draw: Draw) -> Frames:
    """One frame for the whole clip."""
    return [frames[0]] * len(frames)


def freeze(frames: Frames, _spec: ShotSpec, draw: Draw) -> Frames:
    """A frame that stands for half to nine tenths of the clip."""
    start = round(draw.uniform(0.1, 0.5) * len(frames))
    return frames[:start] + [frames[start]] * (len(frames) - start)


def move_camera(_frames: Frames, spec: ShotSpec, draw: Draw) -> Frames:
    """A camera that pans or zooms over things that stand still."""
    ends = draw.choice([(0.5, 0.5, 1.0), (-0.5, 0.5, 1.0), (0.0, 0.5, 1.5)])
    camera = CameraSpec("pan", (0.0, 0.5, 1.0), ends, draw.choice((0.0, 0.004)))
    actors = tuple(
        dataclasses.replace(one, action="stand", path=dataclasses.replace(one.path, vx=0.0, wave=0.0))
        for one in spec.actors
        if one.kind in STANDING
    )
    return render(dataclasses.replace(spec, camera=camera, actors=actors))


def out_of_focus(frames: Frames, _spec: ShotSpec, draw: Draw) -> Frames:
    """Gaussian blur, standard deviation 0.5 to 1% of the height."""
    sigma = draw.uniform(0.005, 0.01) * HEIGHT
    return [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames]


def enlarge(frames: Frames, _spec: ShotSpec, draw: Draw) -> Frames:
    """Enlarged from a third to a fifth of the size."""
    side = draw.uniform(3, 5)
    small = [cv2.resize(frame, None, fx=1 / side, fy=1 / side, interpolation=cv2.INTER_AREA) for frame in frames]
    return [cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for frame in small]


def too_dark(frames: Frames, _spec: ShotSpec, draw: Draw) -> Frames:
    """4 to 5 stops less light."""
    return _expose(frames, -draw.uniform(4, 5))


def too_bright(frames: Frames, _spec: ShotSpec, draw: Draw) -> Frames:
    """2.5 to 3.5 stops more light."""
    return _expose(frames, draw.uniform(2.5, 3.5))


def title(frames: Frames, _spec: ShotSpec, draw: Draw) -> Frames:
    """Large letters across the picture."""
    return _write(
        frames, draw.choice(["HOW IT WAS MADE", "SEASON FINALE", "PART TWO"]), (60, draw.randint(60, 280)), 1.0
    )


def subtitle(frames: Frames, _spec: ShotSpec, draw: Draw) -> Frames:
    """A line of speech at the bottom."""
    return _write(frames, draw.choice(["I never said that to her", "Where are we going now?"]), (90, 298), 0.6)


def logo(frames: Frames, _spec: ShotSpec, draw: Draw) -> Frames:
    """A short name in a corner."""
    at = draw.choice([(12, 30), (370, 30), (12, 305), (370, 305)])
    return _write(
        frames, draw.choice(["NEWS24", "VIDSITE", "@myname"]), at, 0.6, draw.choice([(255, 220, 0), (255,) * 3])
    )


FAULTS = [
    Fault("bars", "letterbox", letterbox), Fault("bars", "pillarbox", pillarbox),
    Fault("frozen", "slide", slide), Fault("frozen", "freeze", freeze),
    Fault("motion", "moving camera, still things", move_camera),
    Fault("sharpness", "out of focus", out_of_focus), Fault("sharpness", "enlarged", enlarge),
    Fault("exposure", "too dark", too_dark), Fault("exposure", "too bright", too_bright),
    Fault("text", "title", title), Fault("text", "subtitle", subtitle), Fault("text", "logo", logo),
]  # fmt: skip
STANDING = ("stop sign", "traffic light", "bottle", "chair", "clock", "umbrella")
MOVING = ("car", "bus", "dog", "horse", "elephant", "person", "boat", "bicycle", "airplane", "bird")


def keep(frames: Frames, _draw: Draw) -> Frames:
    """Only re-encoded."""
    return frames


def crop(frames: Frames, draw: Draw) -> Frames:
    """A part of the picture, 3 to 9% less at each side, scaled up."""
    x, y = (round(draw.uniform(0.03, 0.09) * side) for side in (WIDTH, HEIGHT))
    return [cv2.resize(frame[y : HEIGHT - y, x : WIDTH - x], (WIDTH, HEIGHT)) for frame in frames]


def mirror(frames: Frames, _draw: Draw) -> Frames:
    """Left and right exchanged."""
    return [np.ascontiguousarray(frame[:, ::-1]) for frame in frames]


def add_bars(frames: Frames, _draw: Draw) -> Frames:
    """With black bars above and below."""
    return [_pad(cv2.resize(frame, (WIDTH, HEIGHT - 64), interpolation=cv2.INTER_AREA)) for frame in frames]


COPIES: dict[str, Callable[[Frames, Draw], Frames]] = {
"re-encoded": keep, "cropped": crop, "mirrored": mirror, "with bars": add_bars,
    "cropped and mirrored": lambda frames, draw: mirror(crop(frames, draw), draw),
}  # fmt: skip


def render(spec: ShotSpec) -> Frames:
    """The frames of a shot."""
    return [frame.rgb for frame in render_shot(spec, N_FRAMES, WIDTH, HEIGHT, FPS)]


def clean_shot(seed: int, split: Split) -> ShotSpec:
    """A shot in which something moves."""
    classes = (MOVING[seed % len(MOVING)], MOVING[(5 * seed + 1) % len(MOVING)])
    for attempt in range(50):
        spec = sample_shot(1000 * seed + attempt, split, classes=classes)
        if any(abs(actor.path.vx) > 0.06 and abs(actor.path.at(2.0)[0]) < 0.6 for actor in spec.actors):
            return spec
    raise RuntimeError(f"no moving shot for seed {seed}")


def measure(frames: Frames, filters: dict[str, ClipFilter], crf: int = 23) -> CleanRow:
    """What the stage says about these frames as a clip file."""
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        path = Path(folder) / "clip.mp4"
        write_mp4(frames, path, FPS, crf=crf)
        return judge_clip("clip", ClipSamples.of(read_frames(path), len(frames), FPS), filters)


def find_drops(row: CleanRow, filters: dict[str, ClipFilter]) -> set[str]:
    """Every filter that would drop the clip."""
    return {one.name for one in row.values if not filters[one.name].judge(one.value).keep}


def filter_table(split: Split, seeds: range, only: str = "") -> Iterator[str]:
    """Markdown: recall of each fault, and of each filter precision over its faults and as many clean clips."""
    filters = {name: one for name, one in default_filters().items() if only in ("", name)}
    faults = [fault for fault in FAULTS if fault.filter in filters]
    found: dict[str, int] = {fault.name: 0 for fault in faults}
    false: dict[str, int] = dict.fromkeys(filters, 0)
    for seed in seeds:
        spec, draw = clean_shot(seed, split), random.Random(seed)
        frames = render(spec)
        for name in find_drops(measure(frames, filters), filters):
            false[name] += 1
        for fault in faults:
            row = measure(fault.apply(frames, spec, draw), filters)
            found[fault.name] += fault.filter in find_drops(row, filters)
    n = len(seeds)
    yield "| Filter | Fault | Found | Clean clips dropped | Precision | Recall |"
    yield "|---|---|---|---|---|---|"
    for fault in faults:
        hit, wrong = found[fault.name], false[fault.filter]
        precision = f"{hit / (hit + wrong):.2f}" if hit + wrong else "-"
        yield f"| {fault.filter} | {fault.name} | {hit} of {n} | {wrong} of {n} | {precision} | {hit / n:.2f} |"


def copy_table(split: Split, seeds: range) -> Iterator[str]:
    """Markdown: copies found, and pairs of different shots mistaken for copies."""
    filters = {"duplicates": default_filters()["duplicates"]}
    looks: dict[int, PerceptualHashes] = {}
    bits: dict[str, list[float]] = {name: [] for name in COPIES}
    plain = 0
    for seed in seeds:
        frames, draw = render(clean_shot(seed, split)), random.Random(seed)
        look = measure(frames, filters, crf=18).look
        if look is None:
            plain += 1
            continue
        looks[seed] = look
        for name, copy in COPIES.items():
            other = measure(copy(frames, draw), filters, crf=32).look
            bits[name].append(64.0 if other is None else compare(look, other))
    limit = next(iter(looks.values())).max_bits
    pairs = [compare(looks[one], looks[two]) for one in looks for two in looks if one < two]
    wrong = sum(value <= limit for value in pairs)
    yield f"Different shots: {len(pairs)} pairs, {wrong} taken for copies; clips too plain for a hash: {plain}."
    yield ""
    yield "| Copy | Found | Bits that differ: median, largest |"
    yield "|---|---|---|"
    for name, values in bits.items():
        hit = sum(value <= limit for value in values)
        yield f"| {name} | {hit} of {len(values)} | {np.median(values):.1f}, {max(values):.1f} |"
    yield f"| (different shots) | {wrong} of {len(pairs)} | {np.median(pairs):.1f}, smallest {min(pairs):.1f} |"


def compare(one: PerceptualHashes, other: PerceptualHashes) -> float:
    """Distance of two clips, bits per frame."""
    return distance([frames_of(text) for text in one.hashes], [frames_of(text) for text in other.hashes])


def real_table(folder: Path) -> Iterator[str]:
    """Markdown: values of the clips of some videos, as the cut stage would crop and scale them."""
    filters = default_filters()
    values: dict[str, list[float]] = {name: [] for name in filters}
    drops: dict[str, int] = dict.fromkeys(filters, 0)
    for path in visible_files(folder, ".mp4"):
        for frames in real_clips(path):
            row = measure(frames, filters, crf=18)
            for one in row.values:
                values[one.name].append(one.value)
            for name in find_drops(row, filters):
                drops[name] += 1
    yield "| Filter | Clips | Smallest | Median | Largest | Dropped |"
    yield "|---|---|---|---|---|---|"
    for name, seen in values.items():
        if seen:
            low, middle, high = np.min(seen), np.median(seen), np.max(seen)
            yield f"| {name} | {len(seen)} | {low:.3f} | {middle:.3f} | {high:.3f} | {drops[name]} |"


def real_clips(path: Path) -> Iterator[Frames]:
    """Clips of 33 frames at 8 fps, 720x480, cut from the middle of the picture."""
    import av

    held: Frames = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        step = max(1, round(float(stream.average_rate or FPS) / FPS))
        for number, frame in enumerate(container.decode(stream)):
            if number % step:
                continue
            picture = frame.to_ndarray(format="rgb24").astype(np.uint8)
            height, width = picture.shape[:2]
            scale = max(720 / width, 480 / height)
            picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
            y, x = (picture.shape[0] - 480) // 2, (picture.shape[1] - 720) // 2
            held.append(np.ascontiguousarray(picture[y : y + 480, x : x + 720]))
            if len(held) == N_FRAMES:
                yield held
                held = []


def default_filters() -> dict[str, ClipFilter]:
    """All filters with their defaults."""
    kinds = {name: CLIP_FILTERS.get(name) for name in CLIP_FILTERS.names()}
    return {name: kind(kind.Options()) for name, kind in kinds.items()}


def _pad(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    y, x = (HEIGHT - height) // 2, (WIDTH - width) // 2
    return cv2.copyMakeBorder(frame, y, HEIGHT - height - y, x, WIDTH - width - x, cv2.BORDER_CONSTANT)


def _expose(frames: Frames, stops: float) -> Frames:
    """More or less light: linear values (gamma 2.2) times 2 to the power of `stops`."""
    levels = np.clip((np.arange(256) / 255) ** 2.2 * 2**stops, 0, 1) ** (1 / 2.2) * 255
    return [levels.round().astype(np.uint8)[frame] for frame in frames]


def _write(frames: Frames, text: str, at: tuple[int, int], size: float, color: tuple[int, ...] = (255,) * 3) -> Frames:
    found = []
    for frame in frames:
        copy = frame.copy()
        cv2.putText(copy, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 5, cv2.LINE_AA)
        cv2.putText(copy, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, color, 2, cv2.LINE_AA)
        found.append(copy)
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="heldout", choices=["val", "heldout"])
    parser.add_argument("--seeds", default="0-59", help="first and last seed")
    parser.add_argument("--folder", default="", help="videos to measure instead")
    parser.add_argument("--filter", default="", help="only this one")
    given = parser.parse_args()
    if given.folder:
        print("\n".join(real_table(Path(given.folder))))
        return
    first, last = (int(number) for number in given.seeds.split("-"))
    seeds = range(first, last + 1)
    if given.filter != "duplicates":
        print("\n".join(filter_table(given.split, seeds, given.filter)), end="\n\n")
    if given.filter in ("", "duplicates"):
        print("\n".join(copy_table(given.split, seeds)))


if __name__ == "__main__":
    main()
