"""The masks of a system's videos, on the frames that it makes.

<out>/masks/<id>.masks          at the size, rate and length of the video
<out>/masks/<id>.from.json      what they were made from: the same again is not resampled again
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import write_whole
from mvideo_core.base.options import digest
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.scores import masks_digest
from mvideo_core.masks.io.clip import MaskClip

MAX_NAME_BYTES = 180
"""Of a file name made of an id; file systems take 255, and endings come behind."""
RESAMPLING = 1
"""Raised when the same masks would be brought to a grid otherwise."""


def file_name_of(name: str) -> str:
    """An id as the name of a file or folder: itself where it can be one, else shortened, with a digest."""
    plain = "".join("_" if letter in "/\\\0" else letter for letter in name)
    if plain == name and len(os.fsencode(name)) <= MAX_NAME_BYTES and name.strip("."):
        return name
    head = os.fsencode(plain)[: MAX_NAME_BYTES - 20].decode(errors="ignore").strip(". ")
    return f"{head or 'item'}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:12]}"


def guide_path(item: EvalItem) -> str:
    """Where the item's masks on the grid are, relative to the manifest; "" without masks."""
    return f"masks/{file_name_of(item.id)}.masks" if item.masks else ""


def guide_facts(item: EvalItem, grid: dict[str, Any]) -> str:
    """Digest of what the item's masks on a grid are made from."""
    return digest({"masks": masks_digest(item.masks), "grid": grid, "seconds": item.seconds, "revision": RESAMPLING})


def has_guide(out: Path, item: EvalItem, facts: str) -> bool:
    """Whether the masks on the grid are there, made from the same."""
    path = out / guide_path(item)
    try:
        return path.is_file() and json.loads(_note(path).read_text(encoding="utf-8"))["from"] == facts
    except (OSError, ValueError, KeyError, TypeError):
        return False


def keep_guide(out: Path, item: EvalItem, masks: MaskClip, facts: str) -> None:
    """Write the masks, then the note that vouches for them."""
    path = out / guide_path(item)
    save_masks(path, masks.sequence, masks.fps, masks.labels)
    write_whole(_note(path), json.dumps({"from": facts}) + "\n")


def _note(masks: Path) -> Path:
    return masks.with_suffix(".from.json")
