"""The ceilings' links and judges on clips whose scores are known."""

import numpy as np
import pytest

from benchmarks.mini_ceilings import (
    DrawnClip,
    block_means,
    draw,
    from_blocks,
    linear_code,
    markdown,
    silhouette_score,
    to_blocks,
)
from mvideo_core.masks import encode


def bar(width: int) -> DrawnClip:
    """Nine frames of 8x16 px with an object of 8 x `width` px at the left."""
    masks = np.zeros((9, 1, 8, 16), bool)
    masks[..., :width] = True
    return DrawnClip(np.zeros((9, 8, 16, 3), np.uint8), encode(masks))


def test_block_means_by_hand():
    frame = np.zeros((1, 2, 4, 3), np.uint8)
    frame[0, 0, 0], frame[0, :, 2:] = 101, 40
    shown = block_means(2)(frame)
    assert shown[0, :, :, 0].tolist() == [[25, 25, 40, 40], [25, 25, 40, 40]]  # 101 / 4 = 25.25


def test_silhouettes_lose_what_the_link_loses():
    assert silhouette_score(bar(4), lambda frames: frames) == 1.0
    assert silhouette_score(bar(4), np.zeros_like) == 0.0
    # Squares of 8: a bar of 5 px is more than half of the first and fills it, one of 3 px is lost.
    assert silhouette_score(bar(5), block_means(8)) == pytest.approx(5 / 8)
    assert silhouette_score(bar(3), block_means(8)) == 0.0


def test_blocks_are_put_back_where_they_were():
    video = np.arange(4 * 4 * 8 * 3).reshape(4, 4, 8, 3)
    blocks = to_blocks(video, 4, 2)
    assert blocks.shape == (8, 48)
    assert blocks[1, :3].tolist() == video[0, 0, 2].tolist()  # second block: two pixels to the right
    np.testing.assert_array_equal(from_blocks(blocks, video.shape, 4, 2), video)


def test_a_linear_code_keeps_what_it_has_numbers_for():
    clips = [bar(4), bar(12)]
    exact = linear_code(4, 4, clips)
    assert silhouette_score(bar(4), exact) == 1.0  # blocks are black or white: one number is enough
    mixed = DrawnClip(np.random.default_rng(0).integers(0, 256, (9, 8, 16, 3), np.uint8), bar(4).masks)
    errors = []
    for channels in (1, 8, 48):
        link = linear_code(4, channels, [mixed])
        errors.append(np.abs(link(mixed.frames_THWC)[:1].astype(int) - mixed.frames_THWC[:1]).mean())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.5  # a frame of 4x4 px has 48 numbers


def test_a_drawn_clip_has_its_objects_masks():
    clip = draw(0, (64, 96), unseen=False)
    assert clip is not None
    assert clip.frames_THWC.shape == (17, 64, 96, 3)
    assert (clip.masks.n_frames, clip.masks.height, clip.masks.width) == (17, 64, 96)


def test_table():
    one = {"size": "64x96", "classes": "seen", "link": "none", "silhouettes": [100.0, 100.0, 100.0],
           "sam2": [83.2, 79.4, 86.3], "psnr_db": None}  # fmt: skip
    assert markdown([one]).splitlines()[-1] == (
        "| 64x96 | seen | none | 100.0 [100.0, 100.0] | 83.2 [79.4, 86.3] | - |"
    )
