"""Paint a backdrop in world coordinates, so that any crop at any size shows the same place."""

import functools
import math
import random

import numpy as np

from mvideo_core.miniworld.world.geometry import Color, Part
from mvideo_core.miniworld.world.raster import fill
from mvideo_core.miniworld.world.scenery import CELL, SCENES
from mvideo_core.miniworld.world.spec import SceneSpec


def paint(scene: SceneSpec, view: np.ndarray, width: int, height: int) -> np.ndarray:
    """The backdrop as seen through `view`.

    Args:
        view: (2, 3) affine from world to pixels, without rotation.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    one = SCENES[scene.kind]
    scale, left, top = view[0, 0], view[0, 2], view[1, 2]
    rows = (np.arange(height) + 0.5 - top) / scale
    h = scene.horizon
    stops = [(-0.5, one.above[0]), (h, one.above[1]), (h, one.below[0]), (one.bottom, one.below[1])]
    ys = np.array([stop[0] for stop in stops]) + np.arange(len(stops)) * 1e-6
    colors = np.array([stop[1] for stop in stops], dtype=float) + scene.tint
    column = np.stack([np.interp(rows, ys, colors[:, c]) for c in range(3)], axis=1)
    canvas = np.repeat(np.clip(column, 0, 255).astype(np.uint8)[:, None], width, axis=1)
    x0, x1 = -left / scale, (width - left) / scale
    xs = np.arange(math.floor(x0 / 0.1) - 1, math.ceil(x1 / 0.1) + 2) * 0.1
    parts = one.far(scene, xs)
    for cell in range(math.floor(x0 / CELL) - 1, math.ceil(x1 / CELL) + 1):
        rng = random.Random(f"{scene.seed}/{cell}")
        parts += one.props(scene, cell * CELL, rng)
    fill(canvas, [Part(part.points, _tint(part.color, scene)) for part in parts], view)
    return _add_texture(canvas, scene, one.texture, view, rows)


def _tint(color: Color, scene: SceneSpec) -> Color:
    r, g, b = (min(255, max(0, round(c + t))) for c, t in zip(color, scene.tint, strict=True))
    return r, g, b


def _add_texture(
    canvas: np.ndarray, scene: SceneSpec, strength: tuple[float, float], view: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    height, width = canvas.shape[:2]
    total = np.zeros((height, width), np.float32)
    tile = _tile(scene.seed % 16)
    for cells_per_unit, weight in ((6.0, 0.45), (22.0, 0.35), (80.0, 0.3)):
        pixel = cells_per_unit / view[0, 0]
        grid_x = (pixel * (np.arange(width) - view[0, 2])).astype(np.float32) % 256
        grid_y = (pixel * (np.arange(height) - view[1, 2])).astype(np.float32) % 256
        total += weight * _bilinear(tile, grid_x, grid_y)
    level = np.where(rows < scene.horizon, strength[0], strength[1]).astype(np.float32)
    total *= level[:, None]
    return np.clip(canvas + total[..., None], 0, 255).astype(np.uint8)


def _bilinear(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Separable lookup in a periodic tile."""
    x0, y0 = x.astype(np.int64), y.astype(np.int64)
    fx, fy = (x - x0)[None, :], (y - y0)[:, None]
    # A tiny negative float32 modulo 256 is 256.0, so the indices are wrapped again.
    rows = tile[y0 % 256] * (1 - fy) + tile[(y0 + 1) % 256] * fy
    return rows[:, x0 % 256] * (1 - fx) + rows[:, (x0 + 1) % 256] * fx


@functools.lru_cache(maxsize=16)
def _tile(index: int) -> np.ndarray:
    """A periodic (256, 256) float32 noise tile, about -2 to 2."""
    return np.random.default_rng(index).standard_normal((256, 256)).astype(np.float32)
