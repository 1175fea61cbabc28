"""What the values of gray mask frames mean: black and white, object numbers, or ambiguous gray levels."""

from typing import NamedTuple

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.io.mask_form import MaskForm

WHITE = 128
"""Of 255: values from here on mean a black and white mask; smaller ones are object numbers."""
VOID = 255
"""The number that DAVIS and VOC give to pixels of no object."""
FEW_VALUES = 32
"""Up to this many distinct values are intentional; more come from soft edges or lossy codecs."""
FEW_NUMBERS = 16
DARK, BRIGHT = 32, 240
"""Of 255: below is black, above is white, allowing for codec noise."""
SOFT_STEP = 6
"""Of 255: in a soft or lossy picture, an area is flat if its neighbors differ by no more than this."""
MIN_FLAT_PX, MIN_FLAT_FRAC = 9, 0.001
"""A gray level needs at least this many flat pixels, and this fraction of all non-black ones."""
PLATEAU_GAP = 12
FULL_SCALES = (255, 1023, 4095, 65535)
"""White of 8, 10, 12 and 16 bits."""


class Meaning(NamedTuple):
    """How frames become masks.

    Attributes:
        kind: "binary" (`threshold` and above), "labels" (numbers 1 to `n_objects`) or "colors" (`levels`).
        threshold: lowest value inside.
        levels: values of the objects, ascending.
    """

    kind: str
    threshold: float = WHITE
    n_objects: int = 1
    levels: tuple[int, ...] = ()


class Histogram:
    """Counts all values, those in flat areas, and those in nearly flat ones; frames arrive one by one.

    Args:
        numbers: small values may be object numbers, since nothing lossy produced them; otherwise they are black.
    """

    def __init__(self, numbers: bool):
        self.all, self.flat, self.soft = (np.zeros(65536, np.int64) for _ in range(3))
        self.numbers, self.full = numbers, 255

    def add(self, frame: np.ndarray) -> None:
        """A (H, W) uint8 or uint16 frame."""
        import cv2

        self.all += np.bincount(frame.reshape(-1), minlength=65536)
        self.full = next(full for full in FULL_SCALES if full >= max(int(frame.max(initial=0)), self.full))
        if min(frame.shape) < 3:
            return
        box = np.ones((3, 3), np.uint8)
        spread = cv2.dilate(frame, box).astype(np.int32) - cv2.erode(frame, box)
        spread, inside = spread[1:-1, 1:-1], frame[1:-1, 1:-1]
        self.flat += np.bincount(inside[spread == 0], minlength=65536)
        self.soft += np.bincount(inside[spread <= SOFT_STEP * self.full // 255], minlength=65536)

    @property
    def values(self) -> np.ndarray:
        """Distinct values above 0, ascending."""
        return np.flatnonzero(self.all[1:]) + 1

    def plateaus(self) -> list[int]:
        """Gray levels that fill areas, ascending, without black."""
        dark = DARK * self.full / 255
        if len(self.values) <= FEW_VALUES:
            levels = _merge_white(self._find_tall(self.flat), self.full)
            return [level for level in levels if self.numbers or level >= dark]
        tall = self._find_tall(self.soft)
        gap = PLATEAU_GAP * self.full / 255
        groups = np.split(tall, np.flatnonzero(np.diff(tall) > gap) + 1) if len(tall) else []
        centers = [round(float(np.average(group, weights=self.soft[group]))) for group in groups]
        return [center for center in centers if center >= dark]

    def _find_tall(self, counts: np.ndarray) -> np.ndarray:
        lowest = max(MIN_FLAT_PX, MIN_FLAT_FRAC * self.all[1:].sum())
        return np.flatnonzero(counts[1:] >= lowest) + 1


def decide_meaning(seen: Histogram, name: str, form: MaskForm, n_known: int = 0) -> Meaning:
    """Decide what the values mean.

    Args:
        name: what messages call the masks.
        form: the user's choices.
        n_known: number of objects in the description next to the masks; 0 = unknown.

    Raises:
        MediaError: ambiguous; the message lists the gray levels found and the values of `--as` to choose from.
    """
    values = seen.values
    top = int(values[-1]) if len(values) else 0
    if form.content in ("binary", "inverted"):
        return Meaning("binary", _half(seen))
    if form.content == "colors":
        return Meaning("colors", levels=tuple(_levels(seen, name)))
    if form.content == "labels" or (seen.numbers and n_known > 1):
        return Meaning("labels", n_objects=max(n_known, _top_number(values, name), 1))
    if len(values) <= 1 and seen.numbers:
        return Meaning("binary", max(top, 1))
    if seen.numbers and _are_numbers(seen):
        return Meaning("labels", n_objects=top)
    if seen.numbers and _numbers_and_void(values):
        shown = ", ".join(map(str, values.tolist()))
        raise MediaError(
            f"{name}: values {shown}: --as labels reads value n as object n - 1 and {VOID} as nothing, "
            "--as binary reads everything brighter than half of white as one object"
        )
    levels = seen.plateaus()
    if len(levels) > 1:
        raise MediaError(_describe_unclear(name, levels))
    return Meaning("binary", _half(seen))


def _are_numbers(seen: Histogram) -> bool:
    """Whether the values count objects: small, without large gaps, and not the soft edge of a dim matte."""
    values = seen.values
    if values[-1] >= WHITE or values[-1] > max(FEW_NUMBERS, 2 * len(values)):
        return False
    return len(values) <= FEW_NUMBERS or 2 * int(np.count_nonzero(seen.flat[values])) >= len(values)


def _numbers_and_void(values: np.ndarray) -> bool:
    numbers = values[values != VOID]
    if not 0 < len(numbers) < len(values):
        return False
    return bool(numbers[-1] < WHITE and numbers[-1] <= max(FEW_NUMBERS, 2 * len(numbers)))


def _half(seen: Histogram) -> float:
    """Half of white; for a dim matte, half of its brightest area."""
    levels, white = seen.plateaus(), seen.full * WHITE / 255
    top = levels[-1] if levels else int(max(seen.values, default=0)) if seen.numbers else 0
    return white if top == 0 or top >= 1.25 * white else (top + 1) / 2


def _levels(seen: Histogram, name: str) -> list[int]:
    levels = seen.plateaus()
    if not levels and seen.numbers and len(seen.values) <= FEW_VALUES:
        levels = [int(value) for value in seen.values]  # objects too thin to fill an area
    if not levels:
        raise MediaError(f"{name}: no gray level fills an area, so --as colors finds no object")
    return levels


def _top_number(values: np.ndarray, name: str) -> int:
    numbers = values[values != VOID]
    if len(numbers) and numbers[-1] > 4 * max(len(numbers), WHITE):
        raise MediaError(
            f"{name}: values up to {numbers[-1]}, {len(numbers)} of them used: too many for object numbers; "
            "--as colors reads each value as an object"
        )
    return int(numbers[-1]) if len(numbers) else 0


def _merge_white(levels: np.ndarray, full: int) -> list[int]:
    bright = levels[levels >= BRIGHT * full / 255]
    rest = [int(level) for level in levels if level < BRIGHT * full / 255]
    return [*rest, int(bright[-1])] if len(bright) else rest


def _describe_unclear(name: str, levels: list[int]) -> str:
    shown = ", ".join(map(str, levels[:8])) + (", ..." if len(levels) > 8 else "")
    return (
        f"{name}: areas of several gray levels ({shown}), expected black and white: --as colors reads each level as an "
        "object, --as binary everything brighter than half of white as one object"
    )
