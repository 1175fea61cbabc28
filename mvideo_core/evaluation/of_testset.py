"""A test set as an evaluation manifest: its samples' texts, the masks that count, and their source clips.

out/manifest.jsonl              one item a sample; its video is expected at <videos>/<key>.mp4
out/masks/<key>.masks           only the objects that the test set names
out/source/<key>.mp4            the clip the masks come from, as it lies in the shards
"""

from pathlib import Path

from mvideo_core.disk import write_whole
from mvideo_core.editing.sequence import save_masks
from mvideo_core.errors import ConfigError
from mvideo_core.evaluation.manifest import EvalItem, write_manifest
from mvideo_core.shards.dataset import MaskVideoDataset, Sample
from mvideo_core.testsets.samples import TestSample, TestSet


def write_test_manifest(
    test_set: TestSet, dataset: str, out: Path, system: str = "", videos: str = "videos", seconds: float | None = None
) -> Path:
    """Write manifest, masks and source clips.

    Args:
        dataset: folder or URL of the dataset that the samples come from.
        system: name of what makes, or made, the videos.
        videos: folder of the videos, relative to `out`; those that are not there count as missing.
        seconds: length asked for; finds the row of a table.

    Returns:
        Path of the manifest.

    Raises:
        ConfigError: a sample that is not in the dataset. StoreError: the dataset cannot be read, or the disk refuses.
    """
    held = MaskVideoDataset(dataset)
    places = {key: index for index, key in enumerate(held.keys)}
    if lost := [one.key for one in test_set.samples if one.key not in places]:
        raise ConfigError(f"{dataset} has no sample {lost[0]} ({len(lost)} such); give the test set's own workspace")
    items = []
    for one in test_set.samples:
        sample = held.sample(places[one.key])
        save_masks(out / f"masks/{one.key}.masks", sample.masks().select(one.object_ids), _fps(sample), _names(one))
        write_whole(out / f"source/{one.key}.mp4", sample.content["mp4"])
        items.append(
            EvalItem(
                id=one.key,
                system=system,
                test_set=test_set.name.removesuffix("-test"),
                video=f"{videos}/{one.key}.mp4",
                prompt=one.caption,
                masks=f"masks/{one.key}.masks",
                source_video=f"source/{one.key}.mp4",
                seconds=seconds,
            )
        )
    return write_manifest(items, out / "manifest.jsonl")


def _fps(sample: Sample) -> float:
    return float(sample.meta()["fps"])


def _names(one: TestSample) -> tuple[str, ...]:
    return (one.label,) * len(one.object_ids)
