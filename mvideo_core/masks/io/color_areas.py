"""Colors of mask frames in which each color is an object: the ones that fill areas; blends go to the nearest."""

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.io.gray_levels import DARK, MIN_FLAT_FRAC, MIN_FLAT_PX, SOFT_STEP

MAX_COLORS = 64
FAR = 48
"""In soft or lossy pictures, two colors whose RGB distance (Euclidean) is larger are two objects."""
COLORED, MAX_COLORED_FRAC = 24, 0.02
"""A pixel is colored if its channels differ by more levels than the first number; in gray frames, no more than the
second fraction of the non-black pixels is."""


class ColorCount:
    """Counts the colors of RGB frames, which arrive one by one."""

    def __init__(self) -> None:
        self.n_colored = self.n_bright = 0
        self._exact: dict[int, int] = {}
        self._flat: dict[int, int] = {}
        self._soft = np.zeros(4096, np.int64)
        self._sums = np.zeros((4096, 3), np.float64)

    def add(self, rgb: np.ndarray) -> None:
        """A (H, W, 3) uint8 frame."""
        import cv2

        self.n_colored += int(np.count_nonzero(np.ptp(rgb, axis=2) > COLORED))
        self.n_bright += int(np.count_nonzero(rgb.max(axis=2) > COLORED))
        self._count(self._exact, pack_colors(rgb))
        if min(rgb.shape[:2]) < 3:
            return
        box = np.ones((3, 3), np.uint8)
        spread = (cv2.dilate(rgb, box).astype(np.int16) - cv2.erode(rgb, box)).max(axis=2)[1:-1, 1:-1]
        inside = rgb[1:-1, 1:-1]
        self._count(self._flat, pack_colors(inside[spread == 0]))
        soft = inside[spread <= SOFT_STEP].astype(np.int64)
        bins = (soft[:, 0] >> 4 << 8) | (soft[:, 1] >> 4 << 4) | soft[:, 2] >> 4
        self._soft += np.bincount(bins, minlength=4096)
        for channel in range(3):
            self._sums[:, channel] += np.bincount(bins, weights=soft[:, channel], minlength=4096)

    @property
    def colored(self) -> bool:
        """Whether these are colors rather than gray, allowing for codec noise."""
        return self.n_colored > MAX_COLORED_FRAC * self.n_bright

    @property
    def certain(self) -> bool:
        """Few colors on black, each filling an area somewhere: there is only one way to read them."""
        return len(self._exact) <= MAX_COLORS and 0 in self._exact and not set(self._exact) - set(self._find_filling())

    def palette(self, name: str) -> np.ndarray:
        """Colors of the objects, (K, 3) uint8, ascending, without black.

        Raises:
            MediaError: none fills an area, or too many do: a picture, not masks.
        """
        colors = self._find_filling() if len(self._exact) <= MAX_COLORS else self._clusters()
        colors = [color for color in colors if color]
        if not 0 < len(colors) <= MAX_COLORS:
            raise MediaError(
                f"{name}: {len(colors) or 'no'} colors fill areas; expected 1 to {MAX_COLORS} objects, one color each"
            )
        return np.array([[color >> 16, color >> 8 & 255, color & 255] for color in sorted(colors)], np.uint8)

    def _find_filling(self) -> list[int]:
        return [color for color, count in self._flat.items() if count >= MIN_FLAT_PX or color == 0]

    def _clusters(self) -> list[int]:
        lowest = max(MIN_FLAT_PX, MIN_FLAT_FRAC * self._soft[1:].sum())
        centers: list[np.ndarray] = [np.zeros(3)]
        for place in np.argsort(-self._soft, kind="stable"):
            if self._soft[place] < lowest or len(centers) > MAX_COLORS + 1:
                break
            color = self._sums[place] / self._soft[place]
            if color.max() >= DARK and min(np.linalg.norm(color - center) for center in centers) > FAR:
                centers.append(color)
        return pack_colors(np.round(np.array(centers)).astype(np.uint8)).tolist()

    @staticmethod
    def _count(counts: dict[int, int], colors: np.ndarray) -> None:
        if len(counts) > MAX_COLORS:
            return  # enough to know that there are too many
        for color, count in zip(*(part.tolist() for part in np.unique(colors, return_counts=True)), strict=True):
            counts[color] = counts.get(color, 0) + count


def pack_colors(rgb: np.ndarray) -> np.ndarray:
    """Colors (..., 3) uint8 packed into one number each, 0xRRGGBB, int32."""
    wide = rgb.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def nearest(frame: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """For each pixel the number of the nearest object, starting at 1; 0 = black.

    Args:
        frame: (H, W) or (H, W, C).
        palette: (K,) or (K, C).
    """
    wide = frame.astype(np.int64)
    best, number = _distance(wide, np.zeros_like(palette[0])), np.zeros(frame.shape[:2], np.int64)
    for place, color in enumerate(palette, 1):
        distance = _distance(wide, color)
        number[distance < best] = place
        best = np.minimum(best, distance)
    return number


def _distance(wide: np.ndarray, color: np.ndarray) -> np.ndarray:
    difference = (wide - np.asarray(color, np.int64)) ** 2
    return difference.sum(axis=2) if difference.ndim == 3 else difference
