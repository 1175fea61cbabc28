from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.curation.stages.publish import dataset_root
from mvideo_core.curation.stages.shard import shard_dataset
from mvideo_core.editing.mask_files import load_masks
from mvideo_core.evaluation.manifest import read_manifest
from mvideo_core.evaluation.testset_manifest import name_of, seconds_of, write_test_manifest
from mvideo_core.evaluation.testsets.samples import TestSample, TestSet
from mvideo_core.masks import from_bytes
from mvideo_core.media.decode import count_frames
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine.finished import FRAMES, HEIGHT, WIDTH, finish


def a_test_set(*keys: str) -> TestSet:
    samples = [
        TestSample(key=key, video_id=key, label="tiger", object_ids=[0], caption="a tiger", n_frames=FRAMES)
        for key in keys
    ]
    return TestSet(
        name="mask-to-video-test", options={}, wanted=2, samples=samples, left_out={}, per_class={}, held_out=[]
    )


def test_items_have_text_masks_and_source(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path / "ws"))
    keys = finish(workspace, tmp_path, {"a": 1, "b": 1})
    shard_dataset(workspace, ShardOptions(test_frac=0.0))
    out = tmp_path / "set"
    written = write_test_manifest(a_test_set(*keys), dataset_root(workspace), out, "mvideo-5b", seconds=1.0)
    assert (written.n_items, written.too_short) == (len(keys), ())
    first = read_manifest(written.path).items[0]
    assert (first.id, first.system, first.test_set, first.prompt) == (keys[0], "mvideo-5b", "mask-to-video", "a tiger")
    assert (first.seconds, first.video) == (1.0, f"videos/{keys[0]}.mp4")
    masks = load_masks(out / first.masks)
    assert masks.sequence.shape == (FRAMES, 1, HEIGHT, WIDTH)
    assert masks.sequence.mask(0, 0).sum() == 12 * 16  # the square of `finished`
    assert masks.labels == ("tiger",)
    assert count_frames(out / first.source_video) == FRAMES
    with pytest.raises(ConfigError, match="has no sample lost"):
        write_test_manifest(a_test_set("lost"), dataset_root(workspace), out)


def test_masks_end_with_the_videos_and_short_samples_are_left_out(tmp_path: Path) -> None:
    """9 frames at 8 fps are 1 s: for 0.5 s there are 5 masks, and 2 s ask for 17."""
    workspace = Workspace(str(tmp_path / "ws"))
    keys = finish(workspace, tmp_path, {"a": 1, "b": 1})
    shard_dataset(workspace, ShardOptions(test_frac=0.0))
    written = write_test_manifest(a_test_set(*keys), dataset_root(workspace), tmp_path / "half", seconds=0.5)
    assert [from_bytes((tmp_path / "half" / f"masks/{key}.masks").read_bytes()).n_frames for key in keys] == [5, 5]
    assert written.n_items == 2
    whole = write_test_manifest(a_test_set(*keys), dataset_root(workspace), tmp_path / "whole", seconds=1.0)
    manifests = read_manifest(written.path).items, read_manifest(whole.path).items
    half_masks, whole_masks = ([item.sample_masks_sha256 for item in items] for items in manifests)
    assert half_masks == whole_masks  # of one sample, however long the system's videos are
    assert all(len(one) == 64 for one in half_masks)
    with pytest.raises(ConfigError, match=r"none of 2 samples is 2 s long, e\.g\. \S+ \(9 of 17 frames at 8 fps\)"):
        write_test_manifest(a_test_set(*keys), dataset_root(workspace), tmp_path / "long", seconds=2.0)


@pytest.mark.parametrize(
    ("system", "seconds"), [("mvideo-5b", 12), ("cogvideox-2b", 6), ("mvideo-mini", None), ("my", None)]
)
def test_the_length_is_that_of_the_system(system: str, seconds: float | None) -> None:
    assert seconds_of(system) == seconds


def test_a_system_in_a_file_is_called_as_the_file_calls_it(tmp_path: Path) -> None:
    """The path of the file was the name in every table."""
    (tmp_path / "mine.yaml").write_text("name: mine-6s\nmvideo: {options: {seconds: 6}}\n")
    assert name_of(str(tmp_path / "mine.yaml")) == "mine-6s"
    assert seconds_of(str(tmp_path / "mine.yaml")) == 6
    assert name_of("mvideo-5b") == "mvideo-5b"
