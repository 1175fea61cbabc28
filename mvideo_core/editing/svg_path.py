"""Outlines of SVG path data, the `d` of a <path>: M L H V C S Q T A Z, absolute and relative.

We check the grammar here, since fontTools skips what it cannot read; curves and arcs are fontTools'. Source: SVG 2,
chapter 9 (path data) and section 13.4 (fill-rule).
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from mvideo_core.base.errors import ConfigError

FillRule = Literal["nonzero", "evenodd"]
NUMBERS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
"""How many numbers a command takes, once or repeatedly."""
LARGEST_NUMBER = 1e7
"""Limit in both directions: far beyond any drawing, and no sum or product of a path overflows floats."""
CURVE_STEPS = 32
"""Straight segments per curve."""
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_BETWEEN = re.compile(r"[ \t\r\n\f]*,?[ \t\r\n\f]*")
_FLAGS = (3, 4)
"""Positions of an arc's two flags, each one digit, perhaps without a space after it."""


class Command(NamedTuple):
    """One letter with its numbers."""

    letter: str
    numbers: tuple[float, ...]


def svg_outlines(data: str) -> list[np.ndarray]:
    """Closed outlines (P, 2) of x, y in the path's own units; open ones are closed, as for a fill.

    Raises:
        ConfigError: not path data; the message says where and what was expected.
    """
    from fontTools.pens.recordingPen import RecordingPen
    from fontTools.svgLib.path import parse_path

    pen = RecordingPen()
    parse_path(" ".join(_plain(one) for one in commands(data)), pen)
    outlines: list[list[np.ndarray]] = []
    for kind, points in pen.value:
        if kind == "moveTo":
            outlines.append([np.array(points[0], float)])
        elif kind in ("lineTo", "curveTo", "qCurveTo"):
            outlines[-1] += _bezier(outlines[-1][-1], points)
    found = [np.array(outline) for outline in outlines if len(outline) > 2]
    if not found or not max(np.ptp(np.concatenate(found), axis=0).min(), 0):
        raise ConfigError(f"path data {_short(data)}: nothing to fill; the path has no area")
    return found


def commands(data: str) -> Iterator[Command]:
    """The commands of path data, repeated ones one by one.

    Raises:
        ConfigError: not path data.
    """
    place = _skip(data, 0)
    if data[place : place + 1] not in ("M", "m"):
        raise _refuse(data, place, "M or m first")
    while place < len(data):
        letter = data[place]
        if letter.upper() not in NUMBERS:
            raise _refuse(data, place, f"one of the commands {' '.join(NUMBERS)}, or a number")
        wanted = NUMBERS[letter.upper()]
        numbers, place = _numbers(data, place + 1, letter)
        if (len(numbers) % wanted or not numbers) if wanted else numbers:
            more = " or a multiple" if wanted else ""
            seen = f"{letter} with {len(numbers)} numbers before character {place + 1}"
            raise ConfigError(f"path data {_short(data)}: {seen}; it takes {wanted}{more}")
        for start in range(0, len(numbers), wanted) if wanted else (0,):
            yield Command(letter, tuple(numbers[start : start + wanted]))
            letter = {"M": "L", "m": "l"}.get(letter, letter)


def cover(outlines: list[np.ndarray], height: int, width: int, rule: FillRule) -> np.ndarray:
    """Samples inside the outlines, bool (height, width); sample (r, c) is at x = c + 0.5, y = r + 0.5."""
    turns = np.zeros((height, width + 1), np.int16)
    for outline in outlines:
        for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            top, bottom = sorted((y0, y1))
            rows = np.arange(max(int(np.ceil(top - 0.5)), 0), min(int(np.ceil(bottom - 0.5)), height))
            if len(rows):
                x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
                columns = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
                turns[rows, columns] += 1 if y1 > y0 else -1
    turns = turns.cumsum(axis=1, dtype=np.int16)[:, :width]
    return turns % 2 == 1 if rule == "evenodd" else turns != 0


def _numbers(data: str, place: int, letter: str) -> tuple[list[float], int]:
    found: list[float] = []
    place = _skip(data, place)
    while place < len(data):
        flag = letter in "Aa" and len(found) % 7 in _FLAGS
        if flag and data[place] not in "01" and not data[place].isalpha():
            raise _refuse(data, place, "0 or 1, a flag of the arc")
        match = re.compile("[01]").match(data, place) if flag else _NUMBER.match(data, place)
        if match is None:
            break
        found.append(float(match.group()))
        if abs(found[-1]) > LARGEST_NUMBER:
            raise _refuse(data, place, f"a number between -{LARGEST_NUMBER:,.0f} and {LARGEST_NUMBER:,.0f}")
        place = _skip(data, match.end())
    return found, place


def _skip(data: str, place: int) -> int:
    match = _BETWEEN.match(data, place)
    assert match is not None
    return match.end()


def _plain(command: Command) -> str:
    """In fontTools' form: no exponents, integer arc flags."""
    numbers = [f"{number:.9f}" for number in command.numbers]
    for place in _FLAGS if command.letter in "Aa" else ():
        numbers[place] = str(int(command.numbers[place]))
    return " ".join([command.letter, *numbers])


def _bezier(start: np.ndarray, points: tuple[tuple[float, float], ...]) -> list[np.ndarray]:
    """Points of a straight line or a curve of any degree after its start, by de Casteljau's algorithm."""
    if len(points) == 1:
        return [np.array(points[0], float)]
    share_S1 = (np.arange(1, CURVE_STEPS + 1) / CURVE_STEPS)[:, None]
    level = [np.broadcast_to(np.array(one, float), (CURVE_STEPS, 2)) for one in (start, *points)]
    while len(level) > 1:
        level = [one + share_S1 * (other - one) for one, other in pairwise(level)]
    return list(level[0])


def _refuse(data: str, place: int, wanted: str) -> ConfigError:
    seen = repr(data[place : place + 12]) if place < len(data) else "the end"
    return ConfigError(f"path data {_short(data)}: {seen} at character {place + 1}; expected {wanted}")


def _short(data: str) -> str:
    return repr(data if len(data) <= 40 else data[:37] + "...")
