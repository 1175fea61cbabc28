"""Mistakes of devices in the segmenters, found without a GPU; and how often they wait for it."""

from typing import Any

import numpy as np
import pytest

from mvideo_core.perception.segmentation.sam2_image import Sam2ImageMode
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter
from mvideo_core.perception.segmentation.transformers_sam2 import TransformersSam2Segmenter
from tests.fake_gpu import GPU, FakeGpu

FRAMES = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3)).astype(np.uint8)
BOXES = np.array([[4, 6, 30, 40], [20, 10, 60, 44]], np.float32)


def waits_a_frame(gpu: FakeGpu) -> dict[str, float]:
    return {key.split(":")[1]: n / len(FRAMES) for key, n in gpu.waits.items()}


def tracked(segmenter: Any) -> Any:
    found = list(segmenter.propagate(iter(FRAMES), 48, 64, BOXES))
    return np.stack([one.masks_NHW for one in found]), np.stack([one.scores_N for one in found])


def test_sam2_tracks_on_the_gpu_as_on_the_cpu() -> None:
    segmenter = Sam2Segmenter.tiny()
    wanted, scores = tracked(segmenter)
    with FakeGpu() as gpu:
        found, found_scores = tracked(Sam2Segmenter(segmenter.network, segmenter.options, GPU))
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(found_scores, scores, atol=1e-5)
    assert waits_a_frame(gpu) == {"__init__ _to_copy.default": 2}  # masks and scores, one frame late


@pytest.mark.slow
def test_transformers_sam2_tracks_on_the_gpu_as_on_the_cpu() -> None:
    segmenter = TransformersSam2Segmenter.tiny()
    wanted, scores = tracked(segmenter)
    with FakeGpu() as gpu:
        found, found_scores = tracked(TransformersSam2Segmenter(segmenter.model, GPU))
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(found_scores, scores, atol=1e-5)
    assert waits_a_frame(gpu) == {"propagate _to_copy.default": 2}


def test_image_mode_segments_on_the_gpu_as_on_the_cpu() -> None:
    segmenter = Sam2Segmenter.tiny()
    boxes = [BOXES, BOXES[:0], BOXES[:1], BOXES]
    wanted = list(Sam2ImageMode(segmenter, frames_per_pass=2).segment(FRAMES, boxes))
    with FakeGpu() as gpu:
        on_gpu = Sam2Segmenter(segmenter.network, segmenter.options, GPU)
        found = list(Sam2ImageMode(on_gpu, frames_per_pass=2).segment(FRAMES, boxes))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert {key.split(":")[1]: n for key, n in gpu.waits.items()} == {"_masks _to_copy.default": 2}  # one a pass
