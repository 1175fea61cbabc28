"""The shipped mini SAM2 through the code path of the public weights."""

import numpy as np
import pytest
import torch

from mvideo_core.miniworld.training.segmenter_eval import follow_shot
from mvideo_core.miniworld.world import render_shot, sample_shot
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.sam2_video import Sam2Options
from mvideo_core.perception.segmentation.transformers_sam2 import TransformersSam2Options
from mvideo_core.weights import find


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def segmenter():
    return SEGMENTERS.get("sam2").load(Sam2Options())


def test_it_is_small_and_found_by_its_name(segmenter):
    assert (find("mini", kind="segmenter") / "model.safetensors").stat().st_size < 10_000_000
    assert segmenter.model_name.startswith("sam2/")
    assert len(segmenter.weights_sha256) == 64


def test_held_out_objects_are_segmented_and_followed(segmenter):
    """Two held-out shots of large objects; a broken file, config or code path falls far below these bounds."""
    followed = [one for seed in (0, 6) for one in follow_shot(segmenter, seed, n_frames=7)]
    assert len(followed) == 2
    assert np.mean([one.first_j for one in followed]) > 0.7
    assert np.mean([one.j for one in followed]) > 0.6


def test_transformers_gives_the_same_masks_with_these_weights(segmenter):
    frames = [frame.rgb for frame in render_shot(sample_shot(9, "heldout"), 4, 720, 480, 8)]
    boxes = np.array([[80, 200, 300, 400], [400, 180, 640, 420]], np.float32)
    other = SEGMENTERS.get("transformers-sam2").load(TransformersSam2Options())
    for a, b in zip(
        segmenter.propagate(frames, 480, 720, boxes), other.propagate(frames, 480, 720, boxes), strict=True
    ):
        assert (a.masks_NHW != b.masks_NHW).mean() < 1e-4
        np.testing.assert_allclose(a.scores_N, b.scores_N, atol=1e-3)
