"""Free disk space versus what the run will write."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from mvideo_core.base.errors import ConfigError, ModelError, StoreError
from mvideo_core.doctor.base import CheckContext, Finding, check, problem
from mvideo_core.weights.catalog import size_text

WORKSPACE_PER_SOURCE = 1.0
"""Assumption: clips, masks, shards and reports take about as much space as the raw videos."""
LEAST_BYTES = 5e9
"""Used for a workspace whose sources are unknown."""


@check("disk: workspace", "data")
def workspace(context: CheckContext) -> Iterator[Finding]:
    """Space for clips, masks and shards."""
    if not _is_local(context.workspace):
        return
    needed = context.source_bytes * WORKSPACE_PER_SOURCE
    if context.source_bytes and not Path(context.workspace).exists():  # a resumed run has already written much of it
        yield _compare("data curation", needed, Path(context.workspace), "assuming as much as the raw videos")
        return
    free = _free(Path(context.workspace))
    low = free < LEAST_BYTES
    yield Finding(
        status="warning" if low else "ok",
        what=f"{size_text(free)} free in {context.workspace}",
        next_step="use a workspace on a larger disk: it needs about as much space as the raw videos" if low else "",
    )


@check("disk: latents", "encode")
def latents(context: CheckContext) -> Iterator[Finding]:
    """Space for latents of the workspace's dataset."""
    if (
        not _is_local(context.workspace)
        or not Path(context.workspace).is_dir()
        or not (context.latents or context.training)
    ):
        return
    try:
        found = latents_bytes(context)
    except (ConfigError, ModelError):
        return  # the weights check reports it
    except StoreError as error:
        yield problem(error)
        return
    if found is None:
        return
    needed, windows = found
    needed -= _count_present(Path(context.workspace) / "latents")
    yield _compare("encoding", needed, Path(context.workspace), f"about {windows:,} windows")


@check("disk: checkpoints", "train")
def checkpoints(context: CheckContext) -> Iterator[Finding]:
    """Space for the checkpoints that are kept."""
    options = context.training
    if options is None:
        return
    from mvideo_core.training.estimate.memory import checkpoint_bytes, most_checkpoints
    from mvideo_core.training.estimate.shape import model_shape, on_meta

    try:
        model = on_meta(options, model_shape(options).config)
    except ModelError:
        return  # the weights check reports it
    except ConfigError as error:
        yield problem(error)
        return
    n_trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    kept = most_checkpoints(options)
    needed = kept * checkpoint_bytes(options, n_trained) - (_count_present(Path(options.out)) if options.out else 0)
    yield _compare("training", needed, Path(options.out or "."), f"{kept} checkpoints")


def latents_bytes(context: CheckContext) -> tuple[float, int] | None:
    """Size in bytes of the latents of a workspace's dataset, and the number of windows: one per clip_frames - 1 frames;
    None if there is no dataset yet.

    Raises:
        StoreError: a damaged dataset. ConfigError, ModelError: no such base model.
    """
    import math

    from mvideo_core.shards.dataset import read_info
    from mvideo_core.shards.files import DatasetFiles
    from mvideo_core.store.workspace import Workspace
    from mvideo_core.training.estimate.shape import model_shape
    from mvideo_core.training.latents.encode import APPEARANCE, MASK, MOTION, TARGET
    from mvideo_core.training.options import TrainOptions

    pointer = Workspace(context.workspace).pointer("dataset")
    if pointer is None:
        return None
    splits = read_info(DatasetFiles(f"{context.workspace}/{pointer['path']}")).splits.values()
    base = context.latents.base if context.latents else context.training.base if context.training else None
    assert base is not None
    shape = model_shape(TrainOptions(base=base))
    form = (context.latents.format if context.latents else None) or shape.format
    seconds = 3600 * sum(split.hours for split in splits)
    windows = math.ceil(seconds * form.fps / form.stride_frames)
    shapes = shape._replace(format=form).latents
    masks = 1 + (context.latents.sloppy.variants if context.latents else 0)
    latent = sum(math.prod(shapes[name]) for name in (TARGET, *[MASK] * masks, APPEARANCE, MOTION))
    text = shape.config.get("max_text_seq_length", 226) * shape.config.get("text_embed_dim", 4096)
    return 2.0 * windows * (latent + text), windows


def _count_present(folder: Path) -> int:
    """Bytes that an earlier run has already written there."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _compare(what: str, needed: float, place: Path, basis: str) -> Finding:
    free = _free(place)
    said = f"{what} writes about {size_text(max(int(needed), 0))} ({basis}); {size_text(free)} free in {place}"
    if needed <= free:
        return Finding(what=said)
    step = "free space there, or use a folder on a larger disk"
    return Finding(status="problem", what=said, next_step=step, kind="StoreError")


def _free(place: Path) -> int:
    """Free bytes on the disk where a folder is or will be created."""
    there = place.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def _is_local(workspace: str) -> bool:
    return bool(workspace) and "://" not in workspace
