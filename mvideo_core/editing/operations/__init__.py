"""Edit operations, one file each. There are three kinds, set by the decorator that registers the function:

@warp("zoom", ZoomOptions)       (motion, options) -> maps (T, N, 2, 3): where each object of each frame goes
@timing("reverse", Options)      (n_frames, fps, options) -> numbers of the source frames to show, in order
@rewrite("keep", KeepOptions)    (clip, options) -> clip: anything else

A new operation is a module here with one such function; its Options are its help text and its YAML.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.base.registry import Registry

MAX_FRAMES = 1 << 20
"""36 hours at 8 frames per second."""

Kind = Literal["warp", "timing", "rewrite"]


@dataclass(frozen=True, slots=True)
class Operation:
    """A registered operation; `about` is the first line of its function's docstring."""

    name: str
    kind: Kind
    options: type[Options]
    function: Callable[..., Any]

    @property
    def about(self) -> str:
        """First line of the docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0]


class ObjectOptions(Options):
    """Options of operations that can be limited to some objects."""

    objects: list[int] | None = Field(default=None, description="object numbers, from 0; default: all")


OPERATIONS: Registry[Operation] = Registry("edit operation", "mvideo_core.editing.operations")
"""Name -> Operation."""


def _adder(kind: Kind, name: str, options: type[Options]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        OPERATIONS.register(name)(Operation(name, kind, options, function))
        return function

    return add


def warp(name: str, options: type[Options]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function (Motion, options) -> maps that broadcast to (T, N, 2, 3)."""
    return _adder("warp", name, options)


def timing(name: str, options: type[Options]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function (n_frames, fps, options) -> source frame numbers."""
    return _adder("timing", name, options)


def rewrite(name: str, options: type[Options]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function (MaskClip, options) -> MaskClip."""
    return _adder("rewrite", name, options)


def check_length(name: str, n_frames: int) -> int:
    """Check the number of frames to be made.

    Raises:
        ConfigError: more than MAX_FRAMES.
    """
    if n_frames > MAX_FRAMES:
        raise ConfigError(f"{name}: {n_frames} frames; at most {MAX_FRAMES} allowed")
    return n_frames


def frames_to_hold(name: str, seconds: float, fps: float) -> int:
    """Number of frames for which a picture is held.

    Raises:
        ConfigError: less than half a frame.
    """
    n_held = round(seconds * fps)
    if n_held == 0:
        raise ConfigError(f"{name}: {seconds:g} s is less than half a frame at {fps:g} fps; use {1 / fps:g} or more")
    return n_held
