"""Names of colors. A pixel is named by lightness, chroma and hue in OKLab (Ottosson 2020)."""

from functools import lru_cache

import numpy as np

NAMES = (
    "black", "white", "gray", "red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "brown", "tan",
)  # fmt: skip
LEAST_SHARE = 0.3
"""An object's color covers at least this part of it; otherwise it has no single color."""
_NEUTRAL = ("black", "white", "gray")
_NEUTRAL_WEIGHT = 0.6
"""A ball with white and orange panels of equal size is called orange: neutral colors count less."""
_SHIFT = 3
"""Colors are named on a grid of 32 levels per channel."""
_BORDER = 0.06
"""The outermost part of a mask, in units of the square root of its area, is left out: there, colors mix."""


def count_colors(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """How many pixels inside a mask have each color of `NAMES`, int64 (13,). Pixels at the border do not count.

    Args:
        rgb: uint8 (H, W, 3).
        mask: bool (H, W).
    """
    inside = _without_border(mask)
    red, green, blue = (rgb[..., channel][inside] >> _SHIFT for channel in range(3))
    return np.bincount(_grid()[red, green, blue], minlength=len(NAMES))


def main_color(counts: np.ndarray) -> str:
    """The name of the most frequent color, neutral ones weighing less; "" if it does not cover `LEAST_SHARE`.

    Args:
        counts: of `count_colors`, summed over frames; each frame should have the same weight.
    """
    total, weights = counts.sum(), [_NEUTRAL_WEIGHT if name in _NEUTRAL else 1.0 for name in NAMES]
    best = int((counts * weights).argmax())
    return NAMES[best] if total > 0 and counts[best] >= LEAST_SHARE * total else ""


def name_colors(rgb: np.ndarray) -> np.ndarray:
    """Index into `NAMES` of each color, uint8 (...).

    Args:
        rgb: (..., 3), 0 to 255.
    """
    light, chroma, hue = _oklch(rgb)
    pale = (chroma < 0.045) | ((light < 0.3) & (chroma < 0.06)) | (light < 0.16)
    warm, earthy = (hue >= 40) & (hue < 78), (hue >= 12) & (hue < 100)
    rules = (
        (pale & (light < 0.37), "black"),
        (pale & (light > 0.8), "white"),
        (pale, "gray"),
        ((hue >= 172) & (hue < 220) & ((light < 0.8) | (hue < 205)), "teal"),
        ((hue >= 172) & (hue < 285), "blue"),
        ((hue >= 285) & (hue < 340) & ((light < 0.66) | (hue < 318)), "purple"),
        ((hue >= 285) & ((light >= 0.6) | ((light > 0.5) & (chroma > 0.2))), "pink"),
        ((hue >= 285) & (hue < 350), "purple"),
        (((hue >= 350) | (hue < 12)) & (light >= 0.62), "pink"),
        ((hue >= 350) | (hue < 12), "red"),
        ((hue < 40) & (light > 0.7) & (chroma < 0.16), "pink"),
        ((hue < 40) & (chroma >= 0.1), "red"),
        (warm & (chroma >= 0.115) & (light >= 0.6), "orange"),
        (warm & (chroma >= 0.15) & (light >= 0.55), "orange"),
        ((hue >= 78) & (hue < 115) & (chroma >= 0.1) & (light >= 0.68), "yellow"),
        (earthy & (light >= 0.64), "tan"),
        (earthy, "brown"),
    )
    index = np.array([NAMES.index(name) for _, name in rules], np.uint8)
    return np.asarray(np.select([rule for rule, _ in rules], list(index), NAMES.index("green")), np.uint8)


@lru_cache(maxsize=1)
def _grid() -> np.ndarray:
    levels = (np.arange(256 >> _SHIFT) << _SHIFT) + (1 << _SHIFT) / 2
    return name_colors(np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1))


def _oklch(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lightness 0 to 1, chroma, and hue in degrees."""
    value = np.asarray(rgb, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(linear @ _TO_CONES.T)
    light, a, b = np.moveaxis(cones @ _TO_LAB.T, -1, 0)
    return light, np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360


_TO_CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip


def _without_border(mask: np.ndarray) -> np.ndarray:
    """The mask without its outermost pixels; all of it if nothing else is left."""
    import cv2

    width_px = max(1, round(_BORDER * float(np.sqrt(mask.sum()))))
    kernel = np.ones((2 * width_px + 1, 2 * width_px + 1), np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), kernel, borderValue=1) > 0
    return np.asarray(inner if inner.any() else mask)
