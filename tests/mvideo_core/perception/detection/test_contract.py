"""What every detector promises: boxes in the frame, order, batching, determinism, empty input."""

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.perception.detection import DETECTORS
from mvideo_core.perception.detection.coco import COCO80

FRAMES = np.random.default_rng(3).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
PHRASES = ["person", "car", "truck", "hot dog", "wine glass"]


def assert_same(a, b, atol=1e-4):
    assert a.labels == b.labels
    np.testing.assert_allclose(a.scores, b.scores, atol=atol)
    np.testing.assert_allclose(a.boxes_xyxy, b.boxes_xyxy, atol=100 * atol)


def test_registry_knows_the_three():
    assert {"groundingdino", "transformers-groundingdino", "transformers-mm-groundingdino"} <= set(DETECTORS.names())
    with pytest.raises(ConfigError, match=r"no detector called 'yolo'; known: .*groundingdino"):
        DETECTORS.get("yolo")


def test_boxes_scores_labels_and_order(any_tiny):
    for found in any_tiny.detect(FRAMES, PHRASES):
        assert found.boxes_xyxy.dtype == np.float32
        assert found.boxes_xyxy.shape == (len(found), 4) == (20, 4)
        assert (found.boxes_xyxy >= 0).all()
        assert (found.boxes_xyxy[:, [0, 2]] <= 96).all()
        assert (found.boxes_xyxy[:, [1, 3]] <= 64).all()
        assert (np.diff(found.scores) <= 0).all()
        assert ((found.scores > 0) & (found.scores < 1)).all()
        assert len(np.unique(found.scores)) > 10
        assert set(found.labels) <= set(PHRASES)


def test_batch_equals_one_by_one(any_tiny):
    together = any_tiny.detect(FRAMES, PHRASES)
    for frame, found in zip(FRAMES, together, strict=True):
        assert_same(found, any_tiny.detect([frame], PHRASES)[0])


def test_mixed_sizes_keep_their_place(any_tiny):
    other = np.ascontiguousarray(FRAMES[1][:, :64])
    mixed = any_tiny.detect([FRAMES[0], other, FRAMES[2]], PHRASES)
    assert_same(mixed[0], any_tiny.detect([FRAMES[0]], PHRASES)[0])
    assert_same(mixed[1], any_tiny.detect([other], PHRASES)[0])
    assert_same(mixed[2], any_tiny.detect([FRAMES[2]], PHRASES)[0])


def test_same_call_same_answer_and_frames_untouched(any_tiny):
    frames = FRAMES.copy()
    first, second = any_tiny.detect(frames, PHRASES), any_tiny.detect(frames, PHRASES)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.scores, b.scores)
        np.testing.assert_array_equal(a.boxes_xyxy, b.boxes_xyxy)
    np.testing.assert_array_equal(frames, FRAMES)


def test_no_frames_and_a_black_frame(any_tiny):
    assert any_tiny.detect([], PHRASES) == []
    assert np.isfinite(any_tiny.detect(np.zeros((1, 48, 80, 3), np.uint8), PHRASES)[0].scores).all()


def test_eighty_classes_in_one_prompt(any_tiny):
    found = any_tiny.detect(FRAMES[:1], COCO80)[0]
    assert len(found) == 20


def test_bad_frames_and_phrases_are_named(any_tiny):
    with pytest.raises(MediaError, match=r"frame 1: expected uint8 RGB of shape \(H, W, 3\), got float32"):
        any_tiny.detect([FRAMES[0], FRAMES[1].astype(np.float32)], PHRASES)
    with pytest.raises(MediaError, match="frame 0"):
        any_tiny.detect([np.zeros((0, 5, 3), np.uint8)], PHRASES)
    with pytest.raises(ConfigError, match="non-empty list"):
        any_tiny.detect(FRAMES, [])


def test_seed_decides_the_weights(tiny):
    other = DETECTORS.get("groundingdino").tiny(seed=1)
    assert len(tiny.weights_sha256) == 64
    assert other.weights_sha256 != tiny.weights_sha256
    assert DETECTORS.get("groundingdino").tiny(seed=1).weights_sha256 == other.weights_sha256
