"""The masks that guide a system's videos, resampled to the frames it generates.

<out>/masks/<id>.masks          at the size, rate and length of the video
<out>/masks/<id>.from.json      digest of their inputs; unchanged masks are not resampled again
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import Note
from mvideo_core.base.options import digest
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.scores import masks_digest
from mvideo_core.masks.io.clip import MaskClip

MAX_NAME_BYTES = 180
"""Maximum length of a file name made from an id; file systems allow 255, including the ending."""
RESAMPLING = 1
"""Incremented when the same masks are resampled differently."""


def file_name_of(name: str) -> str:
    """An id as a file or folder name: unchanged if possible, otherwise shortened plus a digest."""
    plain = "".join("_" if letter in "/\\\0" else letter for letter in name)
    if plain == name and len(os.fsencode(name)) <= MAX_NAME_BYTES and name.strip("."):
        return name
    head = os.fsencode(plain)[: MAX_NAME_BYTES - 20].decode(errors="ignore").strip(". ")
    return f"{head or 'item'}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:12]}"


def guide_path(item: EvalItem) -> str:
    """Path of the item's resampled masks, relative to the manifest; "" without masks."""
    return f"masks/{file_name_of(item.id)}.masks" if item.masks else ""


def guide_facts(item: EvalItem, grid: dict[str, Any]) -> str:
    """Digest of the inputs of the item's resampled masks."""
    return digest({"masks": masks_digest(item.masks), "grid": grid, "seconds": item.seconds, "revision": RESAMPLING})


def has_guide(out: Path, item: EvalItem, facts: str) -> bool:
    """Whether the resampled masks exist and were made from the same inputs."""
    path = out / guide_path(item)
    return path.is_file() and _note(path).is_of(facts)


def keep_guide(out: Path, item: EvalItem, masks: MaskClip, facts: str) -> None:
    """Write the masks, then the note that marks them complete."""
    path = out / guide_path(item)
    save_masks(path, masks.sequence, masks.fps, masks.labels)
    _note(path).write(facts)


def _note(masks: Path) -> Note:
    return Note(masks.with_suffix(".from.json"), "from")
