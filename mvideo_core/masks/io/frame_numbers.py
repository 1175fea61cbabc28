"""Pictures of a folder in time order, by the numbers in their names; gaps would shift all later frames."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from mvideo_core.base.errors import MediaError

SHOWN = 5
"""This many gaps are listed, the rest are counted."""
_DIGITS = re.compile(r"\d+")


def in_time(files: Sequence[Path], place: Path, joined: bool) -> list[Path]:
    """Sort the files so that frame 10 follows frame 9.

    Args:
        joined: treat them as consecutive, whatever the numbers are.

    Raises:
        MediaError: numbers are missing or repeated, or the names do not count frames.
    """
    ordered = sorted(files, key=_order)
    if joined or len(ordered) < 2:
        return ordered
    patterns = {_DIGITS.sub("0", file.stem): file.name for file in ordered}
    if len(patterns) > 1:
        a, b, *_ = patterns.values()
        raise MediaError(
            f"{place}: different kinds of names ({a}, {b}), so the time order is unclear; name all frames alike "
            "with one number each, or read them in the order of their names with --as joined"
        )
    numbers = [[int(part) for part in _DIGITS.findall(file.stem)] for file in ordered]
    doubled = next((at for at in range(1, len(numbers)) if numbers[at] == numbers[at - 1]), 0)
    if doubled:
        a, b = ordered[doubled - 1].name, ordered[doubled].name
        raise MediaError(f"{place}: {a} and {b} are the same frame; remove one of them")
    varying = [column for column in zip(*numbers, strict=True) if len(set(column)) > 1]
    if len(varying) != 1:
        raise MediaError(
            f"{place}: {ordered[0].name} and {ordered[-1].name} differ in {len(varying)} numbers, so frames cannot be "
            "counted; give each one increasing number, or read them in the order of their names with --as joined"
        )
    _check(list(varying[0]), ordered, place)
    return ordered


def _check(numbers: list[int], files: Sequence[Path], place: Path) -> None:
    steps = [after - before for before, after in pairwise(numbers)]
    if steps == [1] * len(steps):
        return
    shown = f"{files[0].name}, {files[1].name}, ..."
    if len(steps) > 1 and len(set(steps)) == 1:
        raise MediaError(
            f"{place}: every {steps[0]}th frame only ({shown} {files[-1].name}); if those are all, read them with "
            f"--as joined and --fps at 1/{steps[0]} of the video's rate"
        )
    gaps = [(number + 1, number + step - 1) for number, step in zip(numbers, steps, strict=False) if step > 1]
    n_missing = sum(last - first + 1 for first, last in gaps)
    named = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in gaps[:SHOWN])
    rest = f" and {len(gaps) - SHOWN} more gaps" if len(gaps) > SHOWN else ""
    what = f"{n_missing} frames are" if n_missing > 1 else "1 frame is"
    raise MediaError(
        f"{place}: {what} missing between {files[0].name} and {files[-1].name}: {named}{rest}; "
        "add them, or close the gaps with --as joined"
    )


def _order(file: Path) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", file.stem)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]
