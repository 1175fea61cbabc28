"""Shards of rendered clips: one file per kind of content, written atomically, read memory-mapped.

Shard 0 of the split train with the kinds frames, masks, texts is `frames-train-00000.npy`, `masks-train-00000.npy` and
`texts-train-00000.json`. Files are written in the order of the kinds; if the last one exists, the shard is complete.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mvideo_core.base.disk import new_file, write_whole

log = logging.getLogger(__name__)

TEXTS = "texts"
"""The kind whose items are NamedTuples, kept as JSON; items of all others are arrays of one shape."""


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one .npy file atomically."""
    with new_file(path) as part:
        np.save(part, array)


def draw_shards(
    folder: Path, kinds: Sequence[str], shots: range, shots_a_shard: int,
    draw: Callable[[int], Iterable[tuple[Any, ...]]], split: str = "",
) -> None:  # fmt: skip
    """Render the shards of `shots` that are missing; complete ones are kept.

    Args:
        folder: created if missing.
        kinds: kinds of content, in writing order.
        shots: seeds, step 1; a shard's number is its first seed divided by `shots_a_shard`.
        draw: renders the clips of a seed, each with one item per kind.
        split: part of the file names; "" for none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(shots.start, shots.stop, shots_a_shard):
        name = "-".join(filter(None, (split, f"{first // shots_a_shard:05d}")))
        if _path(folder, kinds[-1], name).exists():
            continue
        seeds = range(first, min(first + shots_a_shard, shots.stop))
        clips = [clip for seed in seeds for clip in draw(seed)]
        for kind, items in zip(kinds, zip(*clips, strict=True), strict=True):
            _write(_path(folder, kind, name), items)
        log.info("drew %s %d to %d", f"{split} shots".strip(), first, seeds[-1])


def open_shards(folder: Path, kinds: Sequence[str], split: str = "") -> list[tuple[Any, ...]]:
    """All complete shards so far, each with one item per kind: a memory-mapped array, or the list of texts as dicts."""
    last = _path(folder, kinds[-1], f"{split}-*" if split else "*")
    names = [path.stem.removeprefix(f"{kinds[-1]}-") for path in sorted(folder.glob(last.name))]
    return [tuple(_read(_path(folder, kind, name)) for kind in kinds) for name in names]


def _path(folder: Path, kind: str, name: str) -> Path:
    return folder / f"{kind}-{name}.{'json' if kind == TEXTS else 'npy'}"


def _write(path: Path, items: Sequence[Any]) -> None:
    if path.suffix == ".npy":
        write_array(path, np.stack(items))
        return
    write_whole(path, json.dumps([one._asdict() for one in items], indent=0))


def _read(path: Path) -> Any:
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")
    return json.loads(path.read_text(encoding="utf-8"))
