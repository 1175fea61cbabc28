"""A small no-reference quality network: statistics of a frame, then two dense layers. Numpy only.

The statistics follow BRISQUE (Mittal et al. 2012): luma normalized by its local contrast, and correlations of
neighboring values, at two scales; plus energies of band-passes, of color, and of steps on a grid of 8 px. Shape
letters: H, W, C; F features, D hidden.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.base.errors import ModelError
from mvideo_core.weights.reading import plain_words

SHORT_SIDE_PX = 64
"""Larger frames are downscaled to this short side: the statistics depend on size, and training used this one."""
MIN_SIDE_PX = 32
GRID_PX = 8


class QualityWeights(NamedTuple):
    """Dense layers over normalized features: sigmoid(relu(x @ first + first_bias) @ second + second_bias)."""

    mean_F: np.ndarray
    spread_F: np.ndarray
    first_FD: np.ndarray
    first_bias_D: np.ndarray
    second_D: np.ndarray
    second_bias: np.ndarray

    @classmethod
    def read(cls, path: Path) -> "QualityWeights":
        """Read from a .safetensors file.

        Raises:
            ModelError: missing, damaged or in another format.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            found = {name: value.astype(np.float64) for name, value in load_file(path).items()}
        except (OSError, SafetensorError) as error:
            why = plain_words(error)
            raise ModelError(f"{path}: cannot be read ({why}); reinstall the project or retrain it") from None
        if sorted(found) != sorted(cls._fields):
            raise ModelError(f"{path}: tensors {sorted(found)}, expected {sorted(cls._fields)}")
        return cls(**found)

    def quality(self, features_F: np.ndarray) -> float:
        """1 = as rendered, 0 = fully degraded."""
        normal = ((features_F - self.mean_F) / self.spread_F).clip(-5, 5)
        hidden = np.maximum(normal @ self.first_FD + self.first_bias_D, 0)
        return 1 - float(1 / (1 + np.exp(-(hidden @ self.second_D + self.second_bias[0]))))


def features(rgb_HWC: np.ndarray) -> np.ndarray:
    """Statistics of one uint8 frame (H, W, 3), both sides at least MIN_SIDE_PX: float64 (F,)."""
    import cv2

    height, width = rgb_HWC.shape[:2]
    if min(height, width) > SHORT_SIDE_PX:
        scale = SHORT_SIDE_PX / min(height, width)
        rgb_HWC = cv2.resize(rgb_HWC, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    luma, red, blue = cv2.split(cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2YCrCb).astype(np.float32))
    small = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    found = [*_natural(luma), *_natural(small), *_bands(luma, 4), *_bands(red, 2), *_bands(blue, 2), *_grid(luma)]
    return np.array([*found, *_gradients(luma)], np.float64)


def _natural(luma: np.ndarray) -> list[float]:
    """Shape of locally normalized luma and of the products of its neighbors (MSCN of BRISQUE)."""
    import cv2

    mean = cv2.GaussianBlur(luma, (7, 7), 7 / 6)
    contrast = np.sqrt(np.abs(cv2.GaussianBlur(luma * luma, (7, 7), 7 / 6) - mean * mean))
    normal = (luma - mean) / (contrast + 1)
    found = [float(normal.std()), _peakedness(normal), *np.log1p(np.percentile(contrast, (10, 50, 90))).tolist()]
    right, down, falling, rising = (
        normal[:, :-1] * normal[:, 1:], normal[:-1] * normal[1:], normal[:-1, :-1] * normal[1:, 1:],
        normal[:-1, 1:] * normal[1:, :-1],
    )  # fmt: skip
    for product in (right, down, falling, rising):
        found += [float(product.mean()), _spread(product[product < 0], product.size)]
        found += [_spread(product[product > 0], product.size), _peakedness(product)]
    return found


def _bands(plane: np.ndarray, count: int) -> list[float]:
    """Log energies of `count` octaves, the finest first."""
    import cv2

    found = []
    for _ in range(count):
        lower = cv2.GaussianBlur(plane, (5, 5), 1.0)
        found.append(float(np.log(np.abs(plane - lower).mean() + 0.05)))
        plane = lower[::2, ::2]
    return found


def _grid(luma: np.ndarray) -> list[float]:
    """Log ratio of steps across the lines of an 8-px grid to all other steps, along x and along y."""
    found = []
    for plane in (luma, luma.T):
        steps = np.abs(np.diff(plane, axis=1)).mean(axis=0)
        on = steps[GRID_PX - 1 :: GRID_PX].mean()
        off = np.delete(steps, np.s_[GRID_PX - 1 :: GRID_PX]).mean()
        found.append(float(np.log((on + 0.1) / (off + 0.1))))
    return found


def _gradients(luma: np.ndarray) -> list[float]:
    """Fractions of flat and of steep steps, and peakedness of steps, along x and along y."""
    found = []
    for plane in (luma, luma.T):
        steps = np.diff(plane, axis=1)
        size = np.abs(steps)
        found += [float((size < 1).mean()), float(np.log1p(np.percentile(size, 95))), float(np.log1p(size.max()))]
        found.append(_peakedness(steps))
    return found


def _spread(values: np.ndarray, count: int) -> float:
    """Root of the sum of squares over `count`."""
    return float(np.sqrt(np.square(values).sum() / count))


def _peakedness(values: np.ndarray) -> float:
    """Mean absolute value over RMS, 0.8 for a normal distribution, lower for more peaked ones."""
    return float(np.abs(values).mean() / (np.sqrt(np.square(values).mean()) + 1e-3))
