"""What ComfyUI provides: its folders, progress bar and stop button. Without ComfyUI: the current folder, none, none."""

import importlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import digest

CATEGORY = "MVideo"


def input_path(text: str) -> str:
    """A path as given, or below ComfyUI's input folder if it exists only there; a mark such as `#KEY` is kept.

    Raises:
        ConfigError: no path is given.
    """
    if not text.strip():
        raise ConfigError("no path is given; enter a file or folder, such as horse.masks or DATASET#KEY")
    left, mark, right = text.strip().rpartition("#")
    place = left if mark else right
    below = _folder("get_input_directory") / place
    return f"{below}{mark}{right if mark else ''}" if not Path(place).exists() and below.exists() else text.strip()


def output_path(text: str) -> Path:
    """A path below ComfyUI's output folder.

    Raises:
        ConfigError: it leads out of that folder: a workflow from elsewhere must not write anywhere else.
    """
    root = _folder("get_output_directory").resolve()
    place = (root / text.strip()).resolve()
    if not text.strip() or place == root or not place.is_relative_to(root):
        raise ConfigError(f"{text!r}: expected a name below {root}, such as mvideo/horse")
    return place


def new_output(text: str) -> Path:
    """A free path below ComfyUI's output folder: horse_00001.mp4 for horse.mp4.

    Raises:
        ConfigError: as `output_path`.
    """
    place = output_path(text)
    numbered = (place.with_name(f"{place.stem}_{number:05d}{place.suffix}") for number in itertools.count(1))
    return next(path for path in numbered if not path.exists())


def state_of(text: str | None) -> str:
    """What ComfyUI compares to decide whether a file must be read again: size and time, of a folder those of all files
    in it; None is a linked input.
    """
    if text is None:
        return ""
    left, mark, right = text.strip().rpartition("#")
    try:
        place = Path(input_path(left if mark else right))
        files = [place] if mark or not place.is_dir() else visible_files(place, recursive=True)
        facts = [(path.name, path.stat()) for path in files]
    except (OSError, ConfigError):
        return ""
    return digest([[os.fsencode(name).hex(), one.st_size, one.st_mtime_ns] for name, one in facts])


def progress() -> Callable[[int, int], None]:
    """Called with (steps done, total): moves the bar of the node, and raises if the user pressed stop."""
    bars, management = _module("comfy.utils"), _module("comfy.model_management")
    bar: Any = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if management is not None:
            management.throw_exception_if_processing_interrupted()
        if bars is not None:
            bar = bar or bars.ProgressBar(total)
            bar.update_absolute(done, total)

    return show


def _folder(name: str) -> Path:
    paths = _module("folder_paths")
    return Path(getattr(paths, name)()) if paths is not None else Path(os.curdir)


def _module(name: str) -> Any:
    """A module of ComfyUI; None outside of it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in (name, name.partition(".")[0]):  # ComfyUI is there, and something that it needs is not
            raise
        return None
