"""Free disk against what is about to be written."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from mvideo_core.base.errors import MVideoError
from mvideo_core.doctor.base import Asked, Finding, check
from mvideo_core.weights.catalog import size_text

WORKSPACE_PER_SOURCE = 1.0
"""Assumed: clips, masks, shards and reports take about as much as the raw videos."""
LEAST_BYTES = 5e9
"""Of a workspace whose sources are not known."""


@check("disk: workspace", "data")
def workspace(asked: Asked) -> Iterator[Finding]:
    """Room for clips, masks and shards."""
    if not _local(asked.workspace):
        return
    needed = asked.source_bytes * WORKSPACE_PER_SOURCE
    if asked.source_bytes and not Path(asked.workspace).exists():  # a run that is resumed has written much of it
        yield _compare("the data half", needed, Path(asked.workspace), "as much as the raw videos, an assumption")
        return
    free = _free(Path(asked.workspace))
    low = free < LEAST_BYTES
    yield Finding(
        status="warning" if low else "ok",
        what=f"{size_text(free)} free at {asked.workspace}",
        next_step="give a workspace on a larger disk: it takes about as much as the raw videos" if low else "",
    )


@check("disk: latents", "encode")
def latents(asked: Asked) -> Iterator[Finding]:
    """Room for latents of the workspace's dataset."""
    if not _local(asked.workspace) or not Path(asked.workspace).is_dir() or not (asked.latents or asked.training):
        return
    try:
        needed, windows = latents_bytes(asked)
    except MVideoError:
        return  # no dataset yet, or the weights' check says it
    needed -= _present(Path(asked.workspace) / "latents")
    yield _compare("encoding", needed, Path(asked.workspace), f"about {windows:,} windows")


@check("disk: checkpoints", "train")
def checkpoints(asked: Asked) -> Iterator[Finding]:
    """Room for the checkpoints that are kept."""
    options = asked.training
    if options is None:
        return
    from mvideo_core.training.estimate.memory import checkpoint_bytes, most_checkpoints
    from mvideo_core.training.estimate.shape import model_shape, on_meta

    try:
        model = on_meta(options, model_shape(options).config)
    except MVideoError:
        return  # the weights' check says it
    n_trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    kept = most_checkpoints(options)
    needed = kept * checkpoint_bytes(options, n_trained) - (_present(Path(options.out)) if options.out else 0)
    yield _compare("training", needed, Path(options.out or "."), f"{kept} checkpoints")


def latents_bytes(asked: Asked) -> tuple[float, int]:
    """Bytes of the latents of a workspace's dataset, and the number of windows: every clip_frames - 1 frames give one.

    Raises:
        StoreError, ConfigError, ModelError: no dataset, or no such base model.
    """
    import math

    from mvideo_core.base.errors import StoreError
    from mvideo_core.shards.dataset import read_info
    from mvideo_core.shards.files import DatasetFiles
    from mvideo_core.store.workspace import Workspace
    from mvideo_core.training.estimate.shape import model_shape
    from mvideo_core.training.latents.encode import APPEARANCE, MASK, MOTION, TARGET
    from mvideo_core.training.options import TrainOptions

    pointer = Workspace(asked.workspace).pointer("dataset")
    if pointer is None:
        raise StoreError(f"{asked.workspace} has no dataset")
    splits = read_info(DatasetFiles(f"{asked.workspace}/{pointer['path']}")).splits.values()
    base = asked.latents.base if asked.latents else asked.training.base if asked.training else None
    assert base is not None
    shape = model_shape(TrainOptions(base=base))
    form = (asked.latents.format if asked.latents else None) or shape.format
    seconds = 3600 * sum(split.hours for split in splits)
    windows = math.ceil(seconds * form.fps / form.stride_frames)
    shapes = shape._replace(format=form).latents
    masks = 1 + (asked.latents.sloppy.variants if asked.latents else 0)
    latent = sum(math.prod(shapes[name]) for name in (TARGET, *[MASK] * masks, APPEARANCE, MOTION))
    text = shape.config.get("max_text_seq_length", 226) * shape.config.get("text_embed_dim", 4096)
    return 2.0 * windows * (latent + text), windows


def _present(folder: Path) -> int:
    """Bytes that an earlier start wrote there already."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _compare(what: str, needed: float, place: Path, basis: str) -> Finding:
    free = _free(place)
    said = f"{what} writes about {size_text(max(int(needed), 0))} ({basis}); {size_text(free)} are free at {place}"
    if needed <= free:
        return Finding(what=said)
    step = "free space there, or give a folder on a larger disk"
    return Finding(status="problem", what=said, next_step=step, kind="StoreError")


def _free(place: Path) -> int:
    """Free bytes where a folder is, or will be made."""
    there = place.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def _local(workspace: str) -> bool:
    return bool(workspace) and "://" not in workspace
