"""Eight scene kinds: gradients, far hills or walls, and unlabeled clutter.

Every half unit of the world (a cell) has its own random generator, so a frame needs only the cells it shows.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mvideo_core.miniworld.world.geometry import Color, Part, blob, box, capsule, disc, poly, shade
from mvideo_core.miniworld.world.spec import SceneSpec

CELL = 0.5


@dataclass(frozen=True)
class Scenery:
    """One scene kind.

    Attributes:
        words: text for captions.
        horizon: range of the ground line, world y.
        above: RGB at y = -0.5 and at the horizon.
        below: RGB at the horizon and at y = `bottom`.
        far: (scene, x grid) -> the background.
        props: (scene, left edge of a cell, the cell's generator) -> unlabeled clutter.
        texture: noise strength above and below the horizon, 8-bit levels.
    """

    words: str
    horizon: tuple[float, float]
    above: tuple[Color, Color]
    below: tuple[Color, Color]
    far: Callable[[SceneSpec, np.ndarray], list[Part]]
    props: Callable[[SceneSpec, float, random.Random], Iterator[Part]]
    texture: tuple[float, float]
    bottom: float = 1.2


def _ridge(scene: SceneSpec, xs: np.ndarray, level: float, size: float, color: Color, rough: float = 1.0) -> Part:
    """A hill line from seeded sines, down to below the horizon."""
    rng = random.Random(f"{scene.seed}/ridge/{level:.2f}")
    line = np.zeros_like(xs)
    for order in (1.1, 2.3, 4.7, 9.1):
        line += rng.uniform(0.3, 1.0) / order**rough * np.sin(order * xs * rng.uniform(0.8, 1.3) + rng.uniform(0, 6.28))
    top = np.stack([xs, scene.horizon - level - size * line], axis=1)
    return Part(np.concatenate([top, [(xs[-1], scene.horizon + 0.01), (xs[0], scene.horizon + 0.01)]]), color)


def _clouds(x: float, horizon: float, rng: random.Random, color: Color = (240, 242, 246)) -> Iterator[Part]:
    if rng.random() < 0.45:
        cx, cy = x + rng.uniform(0, CELL), rng.uniform(-0.1, horizon * 0.6)
        size = rng.uniform(0.04, 0.1)
        for dx in (-1.1, -0.3, 0.6, 1.3):
            yield Part(
                disc(cx + dx * size, cy + rng.uniform(-0.2, 0.2) * size, size * rng.uniform(0.6, 1.0), size * 0.55),
                color,
            )


def _scatter(x: float, low: float, high: float, rng: random.Random, count: int) -> Iterator[tuple[float, float]]:
    for _ in range(rng.randint(0, count)):
        yield x + rng.uniform(0, CELL), rng.uniform(low, high)


def _rock(x: float, y: float, r: float, rng: random.Random, color: Color = (120, 118, 115)) -> Part:
    corners = [
        (x + r * math.cos(a) * rng.uniform(0.7, 1.2), y + 0.6 * r * math.sin(a) * rng.uniform(0.7, 1.1))
        for a in np.arange(7) * 0.9
    ]
    return Part(poly(*corners), shade(color, rng.uniform(0.75, 1.15)))


def _tree(x: float, y: float, h: float, rng: random.Random, leaf: Color) -> Iterator[Part]:
    yield Part(capsule((x, y), (x, y - h * 0.5), h * 0.05, h * 0.04), (95, 70, 50))
    for dx, dy in ((-0.16, -0.5), (0.16, -0.52), (0.0, -0.75)):
        yield Part(disc(x + dx * h, y + dy * h, h * rng.uniform(0.18, 0.26)), shade(leaf, rng.uniform(0.8, 1.1)))


def _pine(x: float, y: float, h: float, color: Color) -> Iterator[Part]:
    yield Part(box(x - h * 0.04, y - h * 0.2, x + h * 0.04, y), (85, 62, 45))
    for i in range(3):
        w, base = h * (0.26 - 0.06 * i), y - h * (0.15 + 0.25 * i)
        yield Part(poly((x - w, base), (x + w, base), (x, base - h * 0.4)), shade(color, 1 - 0.07 * i))


# ---- meadow


def _meadow_far(scene: SceneSpec, xs: np.ndarray) -> list[Part]:
    return [_ridge(scene, xs, 0.08, 0.06, (120, 150, 130)), _ridge(scene, xs, 0.03, 0.03, (95, 140, 85))]


def _meadow(scene: SceneSpec, x: float, rng: random.Random) -> Iterator[Part]:
    yield from _clouds(x, scene.horizon, rng)
    if rng.random() < 0.4:
        yield from _tree(x + rng.uniform(0, CELL), scene.horizon + 0.03, rng.uniform(0.12, 0.25), rng, (70, 120, 60))
    for px, py in _scatter(x, scene.horizon + 0.05, 1.1, rng, 10):
        yield Part(
            poly((px - 0.012, py), (px + 0.012, py), (px + 0.004, py - 0.035)),
            shade((70, 125, 50), rng.uniform(0.7, 1.2)),
        )
    for px, py in _scatter(x, scene.horizon + 0.1, 1.1, rng, 3):
        yield Part(disc(px, py, 0.008, n=7), rng.choice(((240, 220, 90), (235, 235, 240), (215, 120, 150))))


# ---- street


def _street_far(scene: SceneSpec, xs: np.ndarray) -> list[Part]:
    h, x0, x1 = scene.horizon, float(xs[0]), float(xs[-1])
    return [Part(box(x0, h + 0.1, x1, h + 0.115), (205, 200, 190)), Part(box(x0, h + 0.115, x1, 2.0), (88, 88, 92))]


def _street(scene: SceneSpec, x: float, rng: random.Random) -> Iterator[Part]:
    h = scene.horizon
    top = h - rng.uniform(0.25, 0.6)
    wall = rng.choice(((170, 120, 95), (150, 150, 155), (190, 175, 145), (120, 130, 145)))
    yield Part(box(x, top, x + CELL * 0.96, h + 0.03), wall)
    for row in range(1, 6):
        for column in range(3):
            wx, wy = x + 0.05 + column * 0.15, top + row * 0.11 - 0.06
            if wy + 0.07 < h:
                lit = rng.random() < 0.3
                yield Part(box(wx, wy, wx + 0.08, wy + 0.065), (235, 215, 150) if lit else (75, 90, 105))
    yield Part(box(x + 0.1, (h + 1.12) / 2, x + 0.32, (h + 1.12) / 2 + 0.012), (225, 220, 205))
    for px, py in _scatter(x, h + 0.15, 1.1, rng, 3):
        yield Part(disc(px, py, 0.03, 0.008, n=10), (70, 70, 74))


# ---- room


def _room_far(scene: SceneSpec, xs: np.ndarray) -> list[Part]:
    h, x0, x1 = scene.horizon, float(xs[0]), float(xs[-1])
    return [Part(box(x0, h - 0.03, x1, h + 0.005), (225, 218, 205))]


def _room(scene: SceneSpec, x: float, rng: random.Random) -> Iterator[Part]:
    h = scene.horizon
    for i in range(3):
        yield Part(box(x + i * CELL / 3, -1.0, x + i * CELL / 3 + 0.02, h - 0.03), (178, 160, 142))
    for i in range(2):
        px = x + i * CELL / 2
        yield Part(
            poly((px, h + 0.005), (px + 0.006, h + 0.005), (1.9 * px + 0.01, 1.3), (1.9 * px, 1.3)), (118, 82, 55)
        )
    what = rng.random()
    if what < 0.3:
        w, y = rng.uniform(0.1, 0.2), rng.uniform(0.05, h - 0.32)
        yield Part(box(x + 0.1, y, x + 0.1 + w, y + 0.18), (95, 70, 45))
        yield Part(
            box(x + 0.115, y + 0.015, x + 0.085 + w, y + 0.165),
            rng.choice(((120, 150, 170), (190, 150, 110), (110, 130, 100))),
        )
    elif what < 0.5:
        y = rng.uniform(0.12, h - 0.25)
        yield Part(box(x + 0.05, y, x + 0.45, y + 0.02), (110, 80, 55))
        for i in range(7):
            tall = rng.uniform(0.06, 0.1)
            color = rng.choice(((150, 60, 60), (60, 90, 130), (190, 170, 110), (80, 110, 80)))
            yield Part(box(x + 0.07 + i * 0.045, y - tall, x + 0.107 + i * 0.045, y), color)
    elif what < 0.62:
        yield Part(box(x + 0.06, 0.05, x + 0.44, h - 0.2), (235, 232, 225))
        yield Part(box(x + 0.08, 0.07, x + 0.24, h - 0.22), (160, 195, 225))
        yield Part(box(x + 0.26, 0.07, x + 0.42, h - 0.22), (160, 195, 225))


# ---- lake


def _lake_far(scene: SceneSpec, xs: np.ndarray) -> list[Part]:
    shore = np.stack([xs, 0.8 + 0.012 * np.sin(5 * xs) + 0.008 * np.sin(11 * xs + 1)], axis=1)
    sand = np.concatenate([shore, [(xs[-1], 2.0), (xs[0], 2.0)]])
    return [_ridge(scene, xs, 0.05, 0.04, (110, 130, 145)), Part(sand, (205, 185, 140))]


def _lake(scene: SceneSpec, x: float, rng: random.Random) -> Iterator[Part]:
    yield from _clouds(x, scene.horizon, rng)
    for px, py in _scatter(x, scene.horizon + 0.02, 0.77, rng, 9):
        w = 0.02 + 0.12 * (py - scene.horizon)
        yield Part(disc(px, py, w, 0.004, n=10), rng.choice(((130, 175, 205), (60, 105, 150), (175, 205, 225))))
    for px, py in _scatter(x, 0.84, 1.1, rng, 3):
        yield _rock(px, py, rng.uniform(0.01, 0.025), rng)


# ---- snow


def _snow_far(scene: SceneSpec, xs: np.ndarray) -> list[Part]:
    return [_ridge(scene, xs, 0.16, 0.14, (150, 165, 190), 0.6), _ridge(scene, xs, 0.05, 0.05, (215, 222, 235))]


def _snow(scene: SceneSpec, x: float, rng: random.Random) -> Iterator[Part]:
    for px, py in _scatter(x, scene.horizon - 0.01, scene.horizon + 0.08, rng, 3):
        yield from _pine(px, py, rng.uniform(0.08, 0.24), (60, 95, 85))
    for px, py in _scatter(x, scene.horizon + 0.1, 1.1, rng, 3):
        yield Part(disc(px, py, rng.uniform(0.05, 0.14), 0.01), (200, 210, 228))
    for px, py in _scatter(x, scene.horizon + 0.1, 1.1, rng, 1):
        yield _rock(px, py, rng.uniform(0.015, 0.04), rng, (105, 110, 120))


# ---- desert


def _desert_far(scene: SceneSpec, xs: np.ndarray) -> list[Part]:
    return [_ridge(scene, xs, 0.07, 0.05, (190, 120, 80), 0.8), _ridge(scene, xs, 0.02, 0.03, (215, 165, 105))]


def _desert(scene: SceneSpec, x: float, rng: random.Random) -> Iterator[Part]:
    for px, py in _scatter(x, scene.horizon + 0.02, scene.horizon + 0.1, rng, 1):
        h, green = rng.uniform(0.08, 0.2), (85, 120, 70)
        yield Part(capsule((px, py), (px, py - h), h * 0.1), green)
        yield Part(capsule((px + h * 0.25, py - h * 0.45), (px + h * 0.25, py - h * 0.75), h * 0.07), green)
        yield Part(capsule((px, py - h * 0.42), (px + h * 0.25, py - h * 0.45), h * 0.06), green)
    for px, py in _scatter(x, scene.horizon + 0.08, 1.1, rng, 4):
        yield Part(disc(px, py, rng.uniform(0.04, 0.12), 0.006), (195, 145, 90))
    for px, py in _scatter(x, scene.horizon + 0.08, 1.1, rng, 2):
        yield _rock(px, py, rng.uniform(0.015, 0.045), rng, (150, 105, 75))


# ---- sports hall


def _hall_far(scene: SceneSpec, xs: np.ndarray) -> list[Part]:
    h, x0, x1 = scene.horizon, float(xs[0]), float(xs[-1])
    lines = [Part(box(x0, y, x1, y + 0.012), (240, 240, 235)) for y in (h + 0.12, 0.93)]
    return [Part(box(x0, h - 0.14, x1, h), (70, 95, 120)), *lines]


def _hall(scene: SceneSpec, x: float, rng: random.Random) -> Iterator[Part]:
    h = scene.horizon
    yield Part(box(x, -1.0, x + 0.008, h), (150, 155, 160))
    yield Part(poly((x, h), (x + 0.006, h), (1.8 * x + 0.012, 1.3), (1.8 * x, 1.3)), (175, 125, 75))
    if rng.random() < 0.5:
        color = rng.choice(((180, 60, 60), (60, 90, 170), (200, 170, 70), (80, 140, 100)))
        y = rng.uniform(0.02, h - 0.4)
        yield Part(
            poly((x + 0.12, y), (x + 0.38, y), (x + 0.38, y + 0.16), (x + 0.25, y + 0.2), (x + 0.12, y + 0.16)), color
        )
    if rng.random() < 0.4:
        yield Part(box(x + 0.1, h - 0.05, x + 0.42, h + 0.02), (110, 75, 50))


# ---- forest


def _forest_far(scene: SceneSpec, xs: np.ndarray) -> list[Part]:
    return [_ridge(scene, xs, 0.2, 0.06, (60, 90, 65), 0.5), _ridge(scene, xs, 0.08, 0.05, (45, 75, 50), 0.5)]


def _forest(scene: SceneSpec, x: float, rng: random.Random) -> Iterator[Part]:
    for px, py in _scatter(x, scene.horizon, scene.horizon + 0.05, rng, 4):
        r = rng.uniform(0.012, 0.035)
        yield Part(box(px - r, -1.0, px + r, py), shade((88, 70, 55), rng.uniform(0.6, 1.1)))
    for px, py in _scatter(x, -0.1, 0.18, rng, 5):
        yield Part(
            disc(px, py, rng.uniform(0.06, 0.14), rng.uniform(0.05, 0.09)), shade((60, 105, 55), rng.uniform(0.6, 1.1))
        )
    for px, py in _scatter(x, scene.horizon + 0.06, 1.1, rng, 6):
        leaf = shade(rng.choice(((150, 110, 55), (75, 100, 50), (120, 85, 50))), rng.uniform(0.7, 1.1))
        yield Part(blob([(px - 0.03, py), (px, py - 0.02), (px + 0.03, py), (px, py + 0.008)], 1), leaf)


SCENES: dict[str, Scenery] = {
    "meadow": Scenery(
        "on a green meadow", (0.36, 0.5), ((90, 150, 220), (190, 215, 235)), ((110, 160, 80), (75, 125, 50)),
        _meadow_far, _meadow, (3, 16)),
    "street": Scenery(
        "on a city street", (0.4, 0.52), ((150, 175, 200), (205, 212, 215)), ((165, 160, 152), (150, 146, 140)),
        _street_far, _street, (7, 9)),
    "room": Scenery(
        "in a living room", (0.5, 0.62), ((200, 184, 165), (190, 172, 152)), ((150, 108, 72), (130, 90, 60)),
        _room_far, _room, (5, 10)),
    "lake": Scenery(
        "by a lake", (0.34, 0.46), ((110, 165, 225), (205, 220, 230)), ((120, 165, 195), (55, 105, 150)),
        _lake_far, _lake, (3, 9), bottom=0.8),
    "snow": Scenery(
        "on a snowy mountain", (0.38, 0.5), ((130, 160, 200), (205, 215, 228)), ((225, 230, 240), (205, 214, 230)),
        _snow_far, _snow, (3, 8)),
    "desert": Scenery(
        "in a desert", (0.38, 0.5), ((120, 165, 210), (240, 215, 175)), ((220, 175, 115), (200, 150, 95)),
        _desert_far, _desert, (3, 12)),
    "hall": Scenery(
        "in a sports hall", (0.45, 0.56), ((185, 190, 192), (172, 178, 182)), ((205, 155, 100), (190, 138, 85)),
        _hall_far, _hall, (4, 8)),
    "forest": Scenery(
        "in a forest", (0.42, 0.54), ((150, 180, 160), (120, 150, 120)), ((95, 85, 55), (75, 68, 42)),
        _forest_far, _forest, (8, 16)),
}  # fmt: skip
