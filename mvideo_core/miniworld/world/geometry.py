"""Polygons, the only drawing primitive. Local coordinates, y down; every builder returns float64 (N, 2)."""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Color = tuple[int, int, int]
Point = tuple[float, float]


class Part(NamedTuple):
    """One filled polygon of an object, RGB 0..255. Rendering and ground truth share these points."""

    points: np.ndarray
    color: Color


@functools.lru_cache(maxsize=64)
def _circle(n: int) -> np.ndarray:
    angle = np.arange(n) * (2 * math.pi / n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@functools.lru_cache(maxsize=8)
def _half_circle(n: int) -> np.ndarray:
    angle = np.linspace(-math.pi / 2, math.pi / 2, n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def disc(x: float, y: float, r: float, ry: float | None = None, n: int = 20, turn: float = 0.0) -> np.ndarray:
    """An ellipse around (x, y), turned by `turn` radians."""
    points = _circle(n) * (r, r if ry is None else ry)
    if turn:
        points = points @ _turn(turn)
    return points + np.array((x, y))


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """An axis-aligned rectangle."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def poly(*points: Point) -> np.ndarray:
    """A polygon from its vertices."""
    return np.array(points, dtype=float)


def capsule(p: Point, q: Point, r0: float, r1: float | None = None, n: int = 6) -> np.ndarray:
    """A limb from p to q with round ends of radius r0 and r1."""
    r1 = r0 if r1 is None else r1
    angle = math.atan2(q[1] - p[1], q[0] - p[0])
    ends = _half_circle(n)
    shape = np.concatenate([ends * r1, -ends * r0])
    out = shape @ _turn(angle)
    out[:n] += q
    out[n:] += p
    return out


def blob(points: Sequence[Point] | np.ndarray, rounds: int = 2) -> np.ndarray:
    """A smooth closed curve: Chaikin corner cutting, `rounds` times."""
    curve = np.asarray(points, dtype=float)
    for _ in range(rounds):
        ahead = np.roll(curve, -1, axis=0)
        curve = np.stack([0.75 * curve + 0.25 * ahead, 0.25 * curve + 0.75 * ahead], axis=1).reshape(-1, 2)
    return curve


def ribbon(points: Sequence[Point] | np.ndarray, radii: Sequence[float] | np.ndarray) -> np.ndarray:
    """A band along a polyline with a half-width per point: tails, trunks, flippers."""
    line = np.asarray(points, dtype=float)
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    side = np.stack([-along[:, 1], along[:, 0]], axis=1) * np.asarray(radii, dtype=float)[:, None]
    return np.concatenate([line + side, (line - side)[::-1]])


def bend(start: Point, angle: float, curl: float, length: float, n: int = 7) -> np.ndarray:
    """Points along an arc: leaves `start` at `angle` (0 = +x, positive = down), turning by `curl` radians in total."""
    angles = angle + curl * np.linspace(0, 1, n - 1)
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (length / (n - 1))
    return np.concatenate([[start], np.cumsum(steps, axis=0) + start])


def turn(points: np.ndarray, angle: float, about: Point = (0.0, 0.0)) -> np.ndarray:
    """Rotate points by `angle` radians (positive = clockwise on screen)."""
    return (points - about) @ _turn(angle) + about


def step(p: Point, angle: float, length: float) -> Point:
    """The end of a bone that leaves p at `angle` radians from straight down, positive toward +x."""
    return p[0] + length * math.sin(angle), p[1] + length * math.cos(angle)


def shade(color: Color, factor: float) -> Color:
    """Make a color darker (< 1) or lighter (> 1)."""
    return (
        min(255, max(0, round(color[0] * factor))),
        min(255, max(0, round(color[1] * factor))),
        min(255, max(0, round(color[2] * factor))),
    )


def move(parts: list[Part], dx: float, dy: float) -> list[Part]:
    """Shift all parts."""
    shift = np.array((dx, dy))
    return [Part(part.points + shift, part.color) for part in parts]


def all_turned(parts: list[Part], angle: float, about: Point) -> list[Part]:
    """Rotate all parts around a point."""
    return [Part(turn(part.points, angle, about), part.color) for part in parts]


def ground(parts: list[Part], lift: float = 0.0) -> list[Part]:
    """Shift all parts so that the lowest point is at y = -lift."""
    lowest = max(float(part.points[:, 1].max()) for part in parts)
    return move(parts, 0.0, -lowest - lift)


def _turn(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s], [-s, c]])
