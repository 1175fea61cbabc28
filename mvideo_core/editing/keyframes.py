"""A value that can change over time is given as a number, which is constant, or as keyframes `[[time, value], ...]`,
such as `x_frac: [[0, 0], [2, 0.3]]`.

A time is in seconds, or a percentage of the clip as text: "0%" is the first frame, "100%" the last one. `ease` sets how
the value changes between keyframes. Before the first and after the last keyframe, it is constant.
"""

import re
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from mvideo_core.base.errors import ConfigError

Ease = Literal["linear", "ease", "ease-in", "ease-out", "step"]

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def _check_time(time: float | str) -> float | str:
    if isinstance(time, str) and not _PERCENT.fullmatch(time):
        raise ValueError(f"a time is a number of seconds or a percentage such as '50%', not {time!r}")
    return time


Time = Annotated[float | str, AfterValidator(_check_time)]
Keys = Annotated[list[tuple[Time, float]], Field(min_length=1)]
Keyed = float | Keys
PathKeys = Annotated[list[tuple[Time, float, float]], Field(min_length=1)]

EASE_HELP = (
    "between two keyframes: linear; ease = slow at both; ease-in = slow at the first; ease-out = slow at the second; "
    "step = jump at a keyframe"
)


def seconds(time: float | str, n_frames: int, fps: float) -> float:
    """A time of a clip in seconds."""
    if isinstance(time, str):
        return float(time.strip().rstrip("%")) / 100 * max(n_frames - 1, 0) / fps
    return float(time)


def values(keyed: Keyed, n_frames: int, fps: float, ease: Ease = "linear") -> np.ndarray:
    """The value at every frame, float64 (T,); constant before the first keyframe and after the last one.

    Raises:
        ConfigError: keyframes that do not increase in time.
    """
    if isinstance(keyed, int | float):
        return np.full(n_frames, float(keyed))
    times = np.array([seconds(time, n_frames, fps) for time, _ in keyed])
    points = np.array([value for _, value in keyed])
    if np.any(np.diff(times) <= 0):
        raise ConfigError(f"keyframes {keyed}: times must increase; they are {times.round(3).tolist()} s in this clip")
    now = np.arange(n_frames) / fps
    if len(points) == 1:
        return np.full(n_frames, points[0])
    # A tenth of a microsecond: a frame exactly at a keyframe must not fall before it by rounding.
    place = np.clip(np.searchsorted(times, now + 1e-7, side="right") - 1, 0, len(times) - 2)
    share = np.clip((now - times[place]) / (times[place + 1] - times[place]), 0.0, 1.0)
    return points[place] + (points[place + 1] - points[place]) * ease_share(share, ease)


def path_values(path: PathKeys, n_frames: int, fps: float, ease: Ease) -> tuple[np.ndarray, np.ndarray]:
    """x and y (T,) along keys `[[time, x, y], ...]`."""
    x = values([(time, x) for time, x, _ in path], n_frames, fps, ease)
    return x, values([(time, y) for time, _, y in path], n_frames, fps, ease)


def ease_share(share: np.ndarray, ease: Ease) -> np.ndarray:
    """Progress 0..1 after easing: 0 stays 0 and 1 stays 1."""
    if ease == "ease":
        return share * share * (3 - 2 * share)
    if ease == "ease-in":
        return share * share
    if ease == "ease-out":
        return 1 - (1 - share) ** 2
    if ease == "step":
        return np.floor(share + 1e-7)
    return share
