"""Groups that start on any frame, tracked both ways with a real network at random weights."""

import numpy as np
import pytest

from mvideo_core.masks import encode
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter
from mvideo_core.perception.segmentation.transformers_sam2 import TransformersSam2Segmenter
from mvideo_core.perception.segmentation.two_way import NO_BOXES, Spool, to_sequence, track

HEIGHT, WIDTH, N_FRAMES = 48, 64, 24
FIRST = np.array([[4, 4, 30, 30]], np.float32)
LATE = np.array([[20, 10, 60, 40], [2, 20, 20, 44]], np.float32)


@pytest.fixture(scope="module")
def frames():
    noise = np.random.default_rng(0).integers(0, 255, (N_FRAMES, 6, 8, 3), np.uint8)
    return [np.kron(frame, np.ones((8, 8, 1), np.uint8)) for frame in noise]


def both_ways(segmenter, frames, boxes_at):
    with Spool(HEIGHT, WIDTH) as spool:
        for frame in frames:
            spool.append(frame)
        masklets, total = track(
            segmenter, iter(frames), spool, HEIGHT, WIDTH, lambda n, *_: boxes_at.get(n, NO_BOXES), "clip"
        )
    return to_sequence(masklets, total, HEIGHT, WIDTH)


def alone(segmenter, frames, boxes):
    return np.stack([found.masks_NHW for found in segmenter.propagate(frames, HEIGHT, WIDTH, boxes)])


@pytest.mark.parametrize("kind", [Sam2Segmenter, TransformersSam2Segmenter])
def test_equal_to_one_call_per_group_and_direction(frames, kind):
    segmenter = kind.tiny()
    found = both_ways(segmenter, frames, {0: FIRST, 9: LATE})
    after, before = alone(segmenter, frames[9:], LATE), alone(segmenter, frames[9::-1], LATE)
    late = np.concatenate([before[:0:-1], after])
    assert found == encode(np.concatenate([alone(segmenter, frames, FIRST), late], axis=1))
    assert len(late) == N_FRAMES
    assert late.any()


def test_the_first_frame_alone_is_the_plain_case(frames):
    segmenter = Sam2Segmenter.tiny()
    assert both_ways(segmenter, frames, {0: LATE}) == encode(alone(segmenter, frames, LATE))


def test_groups_share_the_features_of_a_frame(frames):
    segmenter = Sam2Segmenter.tiny()
    seen = []
    segmenter.network.image_encoder.register_forward_hook(lambda *_: seen.append(1))
    both_ways(segmenter, frames, {0: FIRST, 5: LATE, 9: LATE})
    assert len(seen) == N_FRAMES + 10  # forwards all, backwards 9, 8, ... 0


def test_no_boxes_at_all(frames):
    assert both_ways(Sam2Segmenter.tiny(), frames, {}).shape == (N_FRAMES, 0, HEIGHT, WIDTH)
