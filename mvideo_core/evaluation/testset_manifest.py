"""Write a test set as an evaluation manifest: prompts, the masks that count, and source clips of its samples.

out/manifest.jsonl              one item per sample; its video is expected at <videos>/<key>.mp4
out/masks/<key>.masks           only the test set's objects, as long as the videos
out/source/<key>.mp4            the clip the masks come from, as the shards have it
"""

import math
from pathlib import Path
from typing import NamedTuple

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.evaluation.manifest import EvalItem, write_manifest
from mvideo_core.evaluation.scores import sequence_digest
from mvideo_core.evaluation.systems import SYSTEMS, length_s, load_system
from mvideo_core.evaluation.testsets.samples import TestSample, TestSet
from mvideo_core.masks.io.clip import take_frames
from mvideo_core.shards.dataset import MaskVideoDataset, Sample


class Written(NamedTuple):
    """A manifest, its number of items, and the samples that were too short."""

    path: Path
    n_items: int
    too_short: tuple[str, ...]


def write_test_manifest(
    test_set: TestSet, dataset: str, out: Path, system: str = "", videos: str = "videos", seconds: float | None = None
) -> "Written":
    """Write manifest, masks and source clips.

    Args:
        dataset: folder or URL of the dataset that the samples come from.
        system: name of the system that generates the videos.
        videos: folder of the videos, relative to `out`; nonexistent ones count as missing.
        seconds: length of the videos; masks are cut to it, and shorter samples are dropped. None = as long as the
            masks.

    Raises:
        ConfigError: a sample is not in the dataset. StoreError: dataset not readable, or disk not writable.
    """
    held = MaskVideoDataset(dataset)
    places = {key: index for index, key in enumerate(held.keys)}
    if lost := [one.key for one in test_set.samples if one.key not in places]:
        raise ConfigError(f"{dataset} has no sample {lost[0]} ({len(lost)} missing); use the test set's own workspace")
    items, too_short = [], []
    for one in test_set.samples:
        sample = held.sample(places[one.key])
        fps, masks = _fps(sample), sample.masks().select(one.object_ids)
        n_frames = masks.n_frames if seconds is None else math.floor(seconds * fps + 1e-6) + 1
        if masks.n_frames < n_frames:
            too_short.append(f"{one.key} ({masks.n_frames} of {n_frames} frames at {fps:g} fps)")
            continue
        save_masks(out / f"masks/{one.key}.masks", take_frames(masks, range(n_frames)), fps, _names(one))
        write_whole(out / f"source/{one.key}.mp4", sample.content["mp4"])
        items.append(
            EvalItem(
                id=one.key,
                system=system,
                test_set=test_set.name.removesuffix("-test"),
                video=f"{videos}/{one.key}.mp4",
                prompt=one.caption,
                masks=f"masks/{one.key}.masks",
                sample_masks_sha256=sequence_digest(masks, fps),
                source_video=f"source/{one.key}.mp4",
                seconds=seconds,
            )
        )
    if not items:
        raise ConfigError(
            f"{test_set.name}: none of {len(too_short)} samples is {seconds:g} s long, e.g. {too_short[0]}; use "
            "shorter --seconds, or build the set with --min-frames"
        )
    return Written(write_manifest(items, out / "manifest.jsonl"), len(items), tuple(too_short))


def seconds_of(system: str) -> float | None:
    """Length of a system's videos, by name or file; None if the system is unknown or has no length."""
    known = {path.stem for path in visible_files(SYSTEMS, ".yaml")}
    return length_s(load_system(system)) if system in known or system.endswith((".yaml", ".yml")) else None


def name_of(system: str) -> str:
    """Name of a system in tables: a file's own name for it, otherwise as given."""
    return load_system(system).name if system.endswith((".yaml", ".yml")) else system


def _fps(sample: Sample) -> float:
    return float(sample.meta()["fps"])


def _names(one: TestSample) -> tuple[str, ...]:
    return (one.label,) * len(one.object_ids)
