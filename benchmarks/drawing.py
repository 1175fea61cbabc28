"""Inputs of the measurements, rendered at run time: a 720p film with hard cuts, and masks of moving objects."""

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.records import VideoRow
from mvideo_core.media.ffmpeg import ffmpeg_path
from mvideo_core.media.probe import probe

FPS = 30
WIDTH, HEIGHT = 1280, 720
SHOTS_S = (12, 4, 10, 14, 2, 10, 14, 6)
"""Shot lengths of the film: five of eight are long enough for clips (the paper keeps shots longer than 8 s)."""
LOOP_S = 2
GRAIN, CRF, PAN_FRAC = 4.5, 24, 0.05
"""Chosen so that the film has the 2 Mbit/s of web video."""
ROUGH_PX = 0.15


class Film(NamedTuple):
    """A video file and what is known about it; `cuts_s` is None for any other film."""

    path: Path
    row: VideoRow
    n_frames: int
    mbit_per_s: float
    cuts_s: tuple[float, ...] | None


def draw_film(folder: Path, shots_s: Sequence[int] = SHOTS_S, width: int = WIDTH, height: int = HEIGHT) -> Film:
    """H.264 file at 30 fps: scenes with detail at all scales, a panning camera, moving things, fresh grain.

    Motion has a period of two seconds, so a shot is two encoded seconds, repeated without re-encoding.
    """
    rng = np.random.default_rng(2026)
    names = []
    for shot_no, shot_s in enumerate(shots_s):
        loop = folder / f"loop{shot_no}.mp4"
        _write_loop(loop, _loop_frames(rng, width, height), width, height)
        names += [loop.name] * (shot_s // LOOP_S)
    (folder / "loops.txt").write_text("".join(f"file {name}\n" for name in names))
    path = folder / "film.mp4"
    _ffmpeg(["-f", "concat", "-i", str(folder / "loops.txt"), "-c", "copy", str(path)])
    return open_film(path)._replace(cuts_s=tuple(accumulate(float(shot_s) for shot_s in shots_s))[:-1])


def open_film(path: Path) -> Film:
    """An existing file."""
    info = probe(path)
    known = info.model_dump(include={"container", "codec", "pix_fmt", "width", "height", "fps", "duration_s"})
    row = VideoRow(key="film", uri=path.absolute().as_uri(), picture=info.picture, **known)
    n_frames = info.n_frames or round(info.duration_s * info.fps)
    return Film(path, row, n_frames, path.stat().st_size * 8e-6 / info.duration_s, None)


def draw_masks(kind: str, n_frames: int = 97, n_objects: int = 3, height: int = 480, width: int = 720) -> np.ndarray:
    """bool (T, N, H, W): blobs half as high as the frame that move, turn and overlap.

    Args:
        kind: "smooth" has outlines of five waves; "rough" adds 25 fine ones and noise that changes every frame, so that
            COCO run lengths under zstd take about 70 kB.
    """
    rng = np.random.default_rng(7)
    masks = np.zeros((n_frames, n_objects, height, width), np.bool_)
    for n in range(n_objects):
        for t, outline in enumerate(_outlines(rng, kind == "rough", n_frames, height, width)):
            _fill(masks[t, n], outline)
    return masks


def world_masks(n_frames: int = 97, n_objects: int = 3, height: int = 480, width: int = 720) -> np.ndarray:
    """bool (T, N, H, W): visible masks of the first shot of the mini world that has `n_objects` actors."""
    from mvideo_core.miniworld.world import render_shot

    return np.stack([frame.visible for frame in render_shot(world_shot(n_objects), n_frames, width, height, fps=8)])


def world_shot(n_objects: int) -> Any:
    """The first shot in the mini world's validation split with that many actors."""
    from mvideo_core.miniworld.world import sample_shot

    return next(shot for shot in (sample_shot(seed, "val") for seed in range(1000)) if len(shot.actors) == n_objects)


def _loop_frames(rng: np.random.Generator, width: int, height: int) -> Iterator[bytes]:
    """Two seconds of one scene, planar 4:2:0."""
    import cv2

    planes = [_texture(rng, height, width, 9, 90), _texture(rng, height // 2, width // 2, 4, 30)]
    planes.append(_texture(rng, height // 2, width // 2, 4, 30))
    things = [_texture(rng, height // 4, height // 4, 6, 90) for _ in range(3)]
    phases, sizes = rng.uniform(0, 2 * np.pi, (4, 2)), rng.uniform(0.05, 0.15, (3, 2)) * (width, height)
    grain = rng.normal(0, GRAIN, (height + 32, width + 32)).round().astype(np.int16)
    places = rng.uniform(0.16, 0.45, (3, 2)) * (width, height)
    for turn in np.arange(LOOP_S * FPS) * 2 * np.pi / (LOOP_S * FPS):
        sway = PAN_FRAC * width * np.sin(turn + phases[3])
        views = [_view(plane, sway / (1 + (n > 0)), width, height, n > 0) for n, plane in enumerate(planes)]
        for thing, place, size, phase in zip(things, places, sizes, phases, strict=False):
            x, y = (place + size * np.sin(turn + phase)).astype(int)
            views[0][y : y + len(thing), x : x + len(thing)] = thing
        gx, gy = rng.integers(0, 32, 2)
        views[0] = cv2.add(views[0], grain[gy : gy + height, gx : gx + width], dtype=cv2.CV_8U)
        yield b"".join(view.tobytes() for view in views)


def _view(plane: np.ndarray, shift: np.ndarray, width: int, height: int, half: bool) -> np.ndarray:
    """The part of a plane (half as large again as the frame) that the camera sees, moved by fractions of a pixel."""
    import cv2

    size = (width // 2, height // 2) if half else (width, height)
    center = (plane.shape[1] / 2 + shift[0], plane.shape[0] / 2 + shift[1])
    return cv2.getRectSubPix(plane, size, center)


def _texture(rng: np.random.Generator, height: int, width: int, octaves: int, depth: float) -> np.ndarray:
    """uint8 (1.5 * height, 1.5 * width) noise around a random level, amplitude about `depth`."""
    import cv2

    size = (width * 3 // 2, height * 3 // 2)
    field = np.zeros(size[::-1], np.float32)
    for octave in range(1, octaves + 1):
        cells = rng.standard_normal((2**octave, 2**octave)).astype(np.float32)
        field += cv2.resize(cells, size, interpolation=cv2.INTER_CUBIC) * 0.7**octave
    field = field / field.std() * depth / 2 + rng.uniform(60, 190)
    return np.clip(field, 16, 235).astype(np.uint8)


def _write_loop(path: Path, frames: Iterable[bytes], width: int, height: int) -> None:
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-r", str(FPS), "-i", "pipe:0"]
    coding = ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(CRF), "-g", str(LOOP_S * FPS)]
    _ffmpeg([*raw, *coding, str(path)], b"".join(frames))


def _ffmpeg(arguments: list[str], stdin: bytes = b"") -> None:
    subprocess.run([ffmpeg_path(), "-loglevel", "error", "-y", *arguments], input=stdin, check=True)


def _outlines(rng: np.random.Generator, rough: bool, n_frames: int, height: int, width: int) -> Iterator[np.ndarray]:
    """Closed outlines (points, 2) in pixels, one per frame."""
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    orders = np.arange(2, 7) if not rough else np.concatenate([np.arange(2, 7), np.arange(12, 37)])
    sizes = rng.uniform(0.3, 1, len(orders)) * np.where(orders < 7, 0.08, 0.004)
    phases, turns = rng.uniform(0, 2 * np.pi, len(orders)), rng.uniform(-0.1, 0.1, len(orders))
    center, speed = rng.uniform(0.35, 0.65, 2) * (width, height), rng.uniform(-1.2, 1.2, 2)
    for t in range(n_frames):
        waves = (sizes * np.cos(orders * angle[:, None] + phases + turns * t)).sum(axis=1)
        radius = height * 0.25 * (1 + waves)
        if rough:
            radius = radius + rng.normal(0, ROUGH_PX, len(angle))
        x0, y0 = center + speed * t
        yield np.stack([x0 + radius * np.cos(angle), y0 + radius * np.sin(angle)], axis=1)


def _fill(mask_HW: np.ndarray, outline: np.ndarray) -> None:
    import cv2

    cv2.fillPoly(mask_HW.view(np.uint8), [np.round(outline * 16).astype(np.int32)], 1, shift=4)
