"""Groups that start on any frame, tracked both ways with a real network at random weights."""

import gc
import tracemalloc

import numpy as np
import pytest
import torch

from mvideo_core.masks import encode
from mvideo_core.perception.segmentation.edgetam import EdgeTamSegmenter
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter
from mvideo_core.perception.segmentation.transformers_sam2 import TransformersSam2Segmenter
from mvideo_core.perception.segmentation.two_way import NO_BOXES, Spool, follow, to_sequence, track

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


@pytest.mark.parametrize("kind", [Sam2Segmenter, pytest.param(TransformersSam2Segmenter, marks=pytest.mark.slow)])
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


def test_spooled_arrays_are_a_mapping():
    draw, held = np.random.default_rng(1), {}
    with Spool(HEIGHT, WIDTH) as spool:
        one, other = spool.masklet(0).edges, spool.masklet(0).edges
        for step in range(600):
            frame = int(draw.integers(200))
            if frame in held and step % 3 == 0:
                del one[frame], held[frame]
            else:
                held[frame] = one[frame] = draw.integers(-9, 9, draw.integers(0, 30)).astype(np.int32)
            other[frame] = np.full(4, step, np.int32)
    # Readable after the spool is closed.
    assert list(one) == sorted(held)
    assert len(one) == len(held)
    assert all(np.array_equal(one[frame], held[frame]) and one[frame].dtype == np.int32 for frame in held)
    missing = next(frame for frame in range(200) if frame not in held)
    assert missing not in one
    assert one.get(missing) is None
    assert -1 not in one
    assert np.int64(next(iter(held))) in one
    with pytest.raises(KeyError):
        del one[missing]


def test_runs_and_notes_are_not_in_memory():
    runs = np.arange(1000, dtype=np.int32)
    tracemalloc.start()
    with Spool(HEIGHT, WIDTH) as spool:
        masklet = spool.masklet(0)
        for frame in range(1537):
            masklet.edges[frame] = runs + frame
            masklet.notes[frame] = np.full(64, frame, np.float16)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 200_000  # 6.3 MB of numbers
    assert masklet.edges[1536][-1] == 999 + 1536
    assert masklet.notes[7].tolist() == [7.0] * 64


@pytest.mark.parametrize(
    "kind",
    [
        Sam2Segmenter,
        *(pytest.param(one, marks=pytest.mark.slow) for one in (TransformersSam2Segmenter, EdgeTamSegmenter)),
    ],
)
def test_a_network_keeps_nothing_of_frames_that_are_too_old(frames, kind):
    segmenter, sizes = kind.tiny(), []
    boxes_at = {0: FIRST, 2: LATE}
    found = follow(segmenter, frames, HEIGHT, WIDTH, lambda number, *_: boxes_at.get(number, NO_BOXES))
    for number, _ in enumerate(found):
        if number in (11, 23):  # tiny networks attend to 4 frames
            gc.collect()
            sizes.append(sum(one.numel() for one in gc.get_objects() if issubclass(type(one), torch.Tensor)))
    assert sizes[0] == sizes[1]
