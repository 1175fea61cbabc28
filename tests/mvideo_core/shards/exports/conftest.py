"""Four samples in two splits. The first clip of video 0 has two kept objects; they overlap in 80 px.

The square covers rows 8 to 15 and columns 4 + 4t to 11 + 4t, the other object rows 12 to 19 and columns 0 to 15: four
rows in common, and 8, 8, 4 columns in frames 0, 1, 2.
"""

import numpy as np
import pytest

from mvideo_core.shards import MaskVideoDataset, ShardOptions
from mvideo_core.shards.export import export_dataset
from tests.mvideo_core.shards.conftest import Drawn

BOTH = "v00_000000"
OVERLAP_PX = 80


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("exported")
    drawn = Drawn(tmp_path_factory.mktemp("exported_blobs"), 2, keeps_both=lambda tint: tint == 0)
    info = drawn.write(root, ShardOptions(samples_per_shard=4, test_frac=0.5, split_seed=5))
    assert {name: split.samples for name, split in info.splits.items()} == {"train": 2, "test": 2}
    return root


@pytest.fixture(scope="session")
def samples(dataset):
    """key -> (split, caption, labels, frames, masks of the kept objects (T, N, H, W))."""
    found = {}
    for split in ("train", "test"):
        for sample in MaskVideoDataset(dataset, split):
            kept = [n for n, one in enumerate(sample.meta()["objects"]) if one["kept"]]
            labels = [sample.meta()["objects"][n]["label"] for n in kept]
            found[sample.key] = split, sample.text, labels, sample.frames(), sample.masks().pixels()[:, kept]
    assert found[BOTH][2] == ["dog", "tiger"]
    assert not found[BOTH][4][-1, 1].any()
    return found


@pytest.fixture
def exported(dataset, tmp_path):
    """Exports both splits; returns the folder and the facts."""

    def export(name, split="all"):
        out = tmp_path / name
        return out, export_dataset(dataset, out, name, split)

    return export


def label_map(masks_TNHW):
    """Object n as n + 1, the later one on top."""
    maps = np.zeros((len(masks_TNHW), *masks_TNHW.shape[2:]), np.uint8)
    for n in range(masks_TNHW.shape[1]):
        maps[masks_TNHW[:, n]] = n + 1
    return maps


def read_video(path):
    """RGB frames of a video as OpenCV, which most trainers' readers resemble, gives them."""
    import cv2

    video, frames = cv2.VideoCapture(str(path)), []
    while True:
        ok, frame = video.read()
        if not ok:
            return np.array(frames)[..., ::-1]
        frames.append(frame)
