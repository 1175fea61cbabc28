"""Masks of a finished dataset's sample, by DATASET#KEY."""

import pytest

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.editing import load_masks
from mvideo_core.editing.inputs import open_input
from mvideo_core.masks.measure import boxes_xyxy
from mvideo_core.shards import ShardOptions
from tests.mvideo_core.shards.conftest import Drawn


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("dataset")
    Drawn(tmp_path_factory.mktemp("blobs"), n_videos=3).write(root, ShardOptions(samples_per_shard=2, test_frac=0.3))
    return root


def test_a_sample_gives_the_masks_that_passed_the_gate(dataset):
    clip = load_masks(f"{dataset}#v01_000001")
    assert (clip.sequence.n_objects, clip.labels, clip.fps) == (1, ("dog",), 8.0)  # the second object was dropped
    # The drawn square goes from x = 4 on, 4 px a frame, 8 px wide, cut at 48.
    assert boxes_xyxy(clip.sequence)[:, 0].tolist()[:2] == [[4, 8, 12, 16], [8, 8, 16, 16]]


def test_its_caption_comes_with_it(dataset):
    found = open_input(f"{dataset}#v00_000000")
    assert found.caption == "A dog moves to the right in clip v00_000000."
    assert found.origin == {"kind": "dataset sample", "path": str(dataset), "key": "v00_000000"}


def test_what_is_no_sample(dataset, tmp_path):
    with pytest.raises(ConfigError, match="no sample 'v99'"):
        load_masks(f"{dataset}#v99")
    with pytest.raises(ConfigError, match=r"choose one of its samples: .*#KEY"):
        load_masks(dataset)
    (tmp_path / "run.mp4").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"is a file, not a dataset; .*mvideo masks extract .*run\.mp4 OUT -n horse"):
        load_masks(f"{tmp_path}/run.mp4#horse")
    with pytest.raises((StoreError, ConfigError)):
        load_masks(f"{tmp_path}#v99")
