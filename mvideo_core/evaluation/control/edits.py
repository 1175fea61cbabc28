"""The edits that a control score needs, fitted to a clip. Each consists of operations of `mvideo masks edit`:

| Edit | Request | Operation |
|---|---|---|
| `shift` | one object moves by 20% of the frame toward the side with the most room | `translate` |
| `scale` | the same object grows to 1.5 times its size (0.65 where there is no room) | `scale` |
| `delay` | all objects start half a second late | `delay`, then `trim` to the same length |
| `freeze` | all objects stop after a quarter of the clip | `freeze`, then `trim` to the same length |
| `swap` | two objects change places | `swap` |
| `drop` | the object of `shift` and `scale` is removed | `hide` |

`shift` and `scale` take effect gradually, between 10% and 60% of the clip. A shift is smaller than 20% where there is
less room. `shift`, `scale` and `drop` edit one object: of those in the first frame, the one that is visible longest.
All edits keep the number of frames and objects. An edit that does not apply to a clip is left out with its reason: for
example, `delay` if nothing moves, or `swap` if there is only one object.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.errors import ConfigError
from mvideo_core.editing.edits import apply_edits, parse_edits
from mvideo_core.evaluation.control.fit import Run, empty_objects, find_comparable, find_edited, measure_requested
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.masks.measure import areas, boxes_xyxy

EDITS = ("shift", "scale", "delay", "freeze", "swap", "drop")
START, END = "10%", "60%"
"""Shift and scale grow between these shares of the clip."""
SHIFT_FRAC = 0.2
"""Size of a shift, as a share of the frame's width or height; less where there is less room."""
LEAST_SHIFT = 0.25
"""A shift by less than this share of the object's size is not requested."""
LARGER, SMALLER = 1.5, 0.65
"""Factors of `scale`; the second is used where the first would leave the frame."""
DELAY_S = 0.5
FREEZE_AT = 0.25
"""Share of the clip after which `freeze` holds everything."""
LEAST_CHANGE = 0.2
"""Root mean square change of position (in object sizes) or logarithm of size that an edit must request of an object:
smaller changes are lost in a judge's errors.
"""
COMPARABLE_FRAC = 0.5
"""Share of the frames in which an edited object must be comparable: requested, and not covered by another object."""
LEFT_FRAC = 0.7
"""A swap must leave this share of both objects inside the frame."""


class EditedMasks(NamedTuple):
    """Masks under one edit."""

    edit: str
    masks: MaskClip


def make_edits(clip: MaskClip, names: Sequence[str] = EDITS) -> tuple[list[EditedMasks], dict[str, str]]:
    """Edited masks of a clip, and the reasons why other edits were left out.

    Raises:
        ConfigError: an edit that does not exist, or no object has a mask in the first frame.
    """
    check_names(names)
    obj = choose_object(clip)
    made: list[EditedMasks] = []
    left_out: dict[str, str] = {}
    for name in names:
        found = _first_useful(clip, name, _MAKERS[name](clip, obj))
        if isinstance(found, str):
            left_out[name] = found
        else:
            made.append(EditedMasks(name, found))
    return made, left_out


def _first_useful(clip: MaskClip, name: str, ways: list[Any] | str) -> MaskClip | str:
    """The clip under the first variant of an edit that leaves something to measure, or the reason why there is none."""
    why = ways if isinstance(ways, str) else ""
    for steps in ways if isinstance(ways, list) else []:
        edited = apply_edits(clip, parse_edits(steps, name))
        useless = _find_flaw(clip, edited)
        if not useless:
            return edited
        why = why or useless
    return why


def check_names(names: Sequence[str]) -> None:
    """Nothing when all are edits. Raises ConfigError: one is not, or there is none."""
    if unknown := [name for name in names if name not in EDITS]:
        raise ConfigError(f"edit {unknown[0]!r}: known are {', '.join(EDITS)}")
    if not names:
        raise ConfigError(f"no edit given; one or more of {', '.join(EDITS)}")


def choose_object(clip: MaskClip) -> int:
    """The object that is edited alone: of those in the first frame, the one visible longest; the largest if several are
    equal.

    Raises:
        ConfigError: no object has a mask there.
    """
    area_TN = areas(clip.sequence)
    there = np.flatnonzero(area_TN[0] > 0).tolist() if len(area_TN) else []
    if not there:
        raise ConfigError(
            "no object has a mask in the first frame, so none can be followed; cut the masks to one that has"
        )
    return max(there, key=lambda n: (int((area_TN[:, n] > 0).sum()), int(area_TN[:, n].sum())))


def _find_flaw(clip: MaskClip, edited: MaskClip) -> str:
    """Why nothing can be measured under these masks; "" if something can."""
    before, after = Run("", clip.sequence, clip.sequence), Run("", edited.sequence, edited.sequence)
    if empty_objects(before, after):
        return ""
    most = max(measure_requested(before, after), default=0.0)
    if most >= LEAST_CHANGE:
        share = find_comparable(before, after).mean(axis=0)[find_edited(before, after)].min()
        return "" if share >= COMPARABLE_FRAC else "others cover an edited object too long"
    return (
        f"it would move or resize each object by at most {most:.2f} of its size where no other object covers it; "
        f"{LEAST_CHANGE} or more wanted"
    )


def _shift(clip: MaskClip, obj: int) -> list[Any] | str:
    """Tries the side with the most room first."""
    box_T4 = _boxes(clip, obj)
    width, height = clip.sequence.width, clip.sequence.height
    room = {
        ("x_frac", 1): (width - box_T4[:, 2].max()) / width, ("x_frac", -1): box_T4[:, 0].min() / width,
        ("y_frac", 1): (height - box_T4[:, 3].max()) / height, ("y_frac", -1): box_T4[:, 1].min() / height,
    }  # fmt: skip
    size_px = float(np.sqrt(areas(clip.sequence)[:, obj].max()))
    ways = []
    for (axis, sign), most in sorted(room.items(), key=lambda one: -one[1]):
        amount = min(SHIFT_FRAC, float(most))
        if amount * (width if axis == "x_frac" else height) >= LEAST_SHIFT * size_px:
            ways.append([{"translate": {axis: [[START, 0.0], [END, sign * amount]], "objects": [obj]}}])
    return ways or "the object has no room to move"


def _scale(clip: MaskClip, obj: int) -> list[Any]:
    box_T4 = _boxes(clip, obj).astype(np.float64)
    middle_T2, half_T2 = (box_T4[:, :2] + box_T4[:, 2:]) / 2, (box_T4[:, 2:] - box_T4[:, :2]) / 2 * LARGER
    frame = np.array([clip.sequence.width, clip.sequence.height])
    fits = bool(((middle_T2 - half_T2 >= 0) & (middle_T2 + half_T2 <= frame)).all())
    factors = [LARGER, SMALLER] if fits else [SMALLER]
    return [[{"scale": {"factor": [[START, 1.0], [END, factor]], "objects": [obj]}}] for factor in factors]


def _delay(clip: MaskClip, obj: int) -> list[Any] | str:
    n_frames, held = clip.sequence.n_frames, round(DELAY_S * clip.fps)
    if not 0 < held < n_frames - 1:
        return f"the clip of {n_frames} frames is no longer than the delay"
    return [[{"delay": {"by_s": held / clip.fps}}, {"trim": {"end": n_frames / clip.fps}}]]


def _freeze(clip: MaskClip, obj: int) -> list[Any] | str:
    n_frames = clip.sequence.n_frames
    at = round(FREEZE_AT * (n_frames - 1))
    return [[{"freeze": {"at": at / clip.fps, "for_s": n_frames / clip.fps}}, {"trim": {"end": n_frames / clip.fps}}]]


def _swap(clip: MaskClip, obj: int) -> list[Any] | str:
    area_TN = areas(clip.sequence)
    others = [n for n in np.flatnonzero(area_TN[0] > 0).tolist() if n != obj]
    if not others:
        return "it needs two objects in the first frame"
    other = max(others, key=lambda n: int(area_TN[:, n].sum()))
    steps = [{"swap": {"objects": [obj, other]}}]
    swapped = areas(apply_edits(clip, parse_edits(steps)).sequence)
    both = [obj, other]
    if (swapped[:, both].sum(axis=0) < LEFT_FRAC * area_TN[:, both].sum(axis=0)).any():
        return "one of the two would leave the frame"
    return [steps]


def _drop(clip: MaskClip, obj: int) -> list[Any] | str:
    if (areas(clip.sequence)[0] > 0).sum() < 2:
        return "it needs two objects in the first frame: without any mask nothing guides the video"
    return [[{"hide": {"objects": [obj]}}]]


def _boxes(clip: MaskClip, obj: int) -> np.ndarray:
    """Boxes of the frames that show the object, (T, 4) xyxy, half-open."""
    box_T4 = boxes_xyxy(clip.sequence)[:, obj]
    return box_T4[box_T4[:, 2] > box_T4[:, 0]]


_MAKERS = {"shift": _shift, "scale": _scale, "delay": _delay, "freeze": _freeze, "swap": _swap, "drop": _drop}
