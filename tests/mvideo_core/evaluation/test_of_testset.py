from pathlib import Path

import pytest

from mvideo_core.editing.sequence import load_masks
from mvideo_core.errors import ConfigError
from mvideo_core.evaluation.manifest import read_manifest
from mvideo_core.evaluation.of_testset import write_test_manifest
from mvideo_core.media.decode import count_frames
from mvideo_core.shards.options import ShardOptions
from mvideo_core.stages.publish import dataset_root
from mvideo_core.stages.shard import shard_dataset
from mvideo_core.store.workspace import Workspace
from mvideo_core.testsets.samples import TestSample, TestSet
from tests.mvideo_core.stages.finished import FRAMES, HEIGHT, WIDTH, finish


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
    path = write_test_manifest(a_test_set(*keys), dataset_root(workspace), out, "mvideo-5b", seconds=12.0)
    first = read_manifest(path).items[0]
    assert (first.id, first.system, first.test_set, first.prompt) == (keys[0], "mvideo-5b", "mask-to-video", "a tiger")
    assert (first.seconds, first.video) == (12.0, f"videos/{keys[0]}.mp4")
    masks = load_masks(out / first.masks)
    assert masks.sequence.shape == (FRAMES, 1, HEIGHT, WIDTH)
    assert masks.sequence.mask(0, 0).sum() == 12 * 16  # the square of `finished`
    assert masks.labels == ("tiger",)
    assert count_frames(out / first.source_video) == FRAMES
    with pytest.raises(ConfigError, match="has no sample lost"):
        write_test_manifest(a_test_set("lost"), dataset_root(workspace), out)
