import numpy as np
import pytest

from mvideo_core.miniworld.training.segmenter_batches import (
    MEAN,
    STD,
    draw_batch,
    jitter_box,
    normalize,
    shrink,
    tight_box,
)
from mvideo_core.miniworld.training.segmenter_world import (
    MAX_OBJECTS,
    Shard,
    open_shards,
    render_clip,
    render_shards,
    unpack_masks,
)


def one_shard(n_frames: int = 4, size: int = 64) -> Shard:
    """Two shots of a grey ground: object 0 stands, object 1 comes on frame 2 only."""
    frames = np.full((2, n_frames, size, size, 3), 100, np.uint8)
    masks = np.zeros((2, n_frames, MAX_OBJECTS, size, size), bool)
    masks[:, :, 0, 8:24, 16:48] = True
    masks[:, 2, 1, 40:60, 40:60] = True
    frames[:, :, 8:24, 16:48] = 255
    areas = np.stack([masks.mean((3, 4)), masks.any((3, 4))], -1).astype(np.float32)
    return Shard(frames, np.packbits(masks, axis=-1, bitorder="little"), areas)


def test_boxes_by_hand():
    mask = np.zeros((20, 30), bool)
    mask[3:7, 10:25] = True
    assert tight_box(mask).tolist() == [10, 3, 25, 7]
    rng = np.random.default_rng(0)
    assert jitter_box(tight_box(mask), rng, 0.0, 30).tolist() == [10, 3, 25, 7]
    moved = np.stack([jitter_box(tight_box(mask), rng, 0.1, 30) for _ in range(300)])
    assert np.abs(moved - [10, 3, 25, 7]).max(0).tolist() <= [3.75, 1.0, 3.75, 1.0]  # 2.5 deviations of side 15 and 4
    assert moved.std(0) == pytest.approx([1.5, 0.4, 1.5, 0.4], rel=0.2)


def test_shrunk_and_normalized_by_hand():
    image = np.zeros((1, 4, 4), np.uint8)
    image[0, :2, :2] = [[100, 200], [0, 100]]
    assert shrink(image, 2)[0].tolist() == [[100, 0], [0, 0]]
    assert shrink(image, 4) is image
    white = normalize(np.full((1, 2, 2, 3), 255, np.uint8))
    assert white[0, :, 0, 0] == pytest.approx([(1 - m) / s for m, s in zip(MEAN, STD, strict=True)], rel=1e-5)


@pytest.mark.parametrize("size", [64, 32])
def test_batch_holds_prompted_objects_with_their_truth(size):
    batch = draw_batch([one_shard()], np.random.default_rng(3), 3, 2, 10, size, jitter=0.0)
    assert tuple(batch.images.shape) == (2, 3, 3, size, size)
    assert set(batch.clip_of_object.tolist()) == {0, 1, 2}
    for box, cover in zip(batch.boxes_xyxy.numpy(), batch.coverage[0].numpy(), strict=True):
        ys, xs = np.nonzero(cover > 0.5)  # coverage has half the image's side
        assert box / 2 == pytest.approx([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert cover.max() == 1.0


def test_no_more_objects_than_asked():
    batch = draw_batch([one_shard()], np.random.default_rng(3), 4, 1, 2, 64)
    assert len(batch.boxes_xyxy) == 2
    assert batch.images.shape[1] == 4


def test_world_clips_are_drawn_once_and_are_the_worlds_own(tmp_path):
    render_shards(tmp_path, 2, 2, 64, shots_a_shard=2)
    (shard,) = open_shards(tmp_path)
    again = render_clip(1, 2, 64)
    np.testing.assert_array_equal(shard.frames[1], again.frames)
    np.testing.assert_array_equal(shard.masks[1], again.masks)
    masks = unpack_masks(np.asarray(shard.masks))
    assert masks.shape == (2, 2, MAX_OBJECTS, 64, 64)
    # the packed masks are the drawn ones at a ninth of the size: areas agree to a pixel's width of outline
    np.testing.assert_allclose(masks.mean((3, 4)), shard.areas[..., 0], atol=0.02)
    stamp = (tmp_path / "areas-00000.npy").stat().st_mtime_ns
    render_shards(tmp_path, 2, 2, 64, shots_a_shard=2)
    assert (tmp_path / "areas-00000.npy").stat().st_mtime_ns == stamp
