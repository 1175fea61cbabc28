import numpy as np
import pytest
import torch

from mvideo_core.cogvideox.pixels import mask_CTHW, video_CTHW
from mvideo_core.training.latents.source import aspect_stretch


def test_frames_become_minus_one_to_one_with_channels_first() -> None:
    frames = np.zeros((2, 4, 6, 3), np.uint8)
    frames[1, 2, 3] = (255, 0, 51)
    video = video_CTHW(frames, 4, 6)
    assert video.shape == (3, 2, 4, 6)
    assert video[:, 1, 2, 3].tolist() == pytest.approx([1.0, -1.0, -0.6])
    assert video[:, 0].unique().tolist() == [-1.0]


def test_a_resize_is_antialiased() -> None:
    stripes = np.zeros((1, 8, 16, 3), np.uint8)
    stripes[:, :, ::2] = 200  # finer than the small grid can hold: its mean is left
    small = video_CTHW(stripes, 2, 4)
    assert small[:, 0, :, 1:3].flatten().tolist() == pytest.approx([100 / 127.5 - 1] * 12, abs=1e-5)


def test_masks_are_white_on_black_in_three_equal_channels() -> None:
    masks = np.zeros((2, 4, 4), bool)
    masks[1, :2] = True
    video = mask_CTHW(masks, 4, 4)
    assert torch.equal(video[0], video[1])
    assert torch.equal(video[0], video[2])
    assert video[0, 0].unique().tolist() == [-1.0]
    assert video[0, 1].sum().item() == 0  # half white, half black


def test_a_smaller_mask_keeps_pixels_that_are_at_least_half_covered() -> None:
    masks = np.zeros((1, 4, 6), bool)
    masks[0, 0, 0] = True  # 1 of 4
    masks[0, 2:4, 2] = True  # 2 of 4
    masks[0, 2:4, 4:6] = True  # 4 of 4
    white = mask_CTHW(masks, 2, 3)[0, 0] == 1
    assert white.tolist() == [[False, False, False], [False, True, True]]


def test_stretch_is_the_same_both_ways() -> None:
    assert aspect_stretch(480, 720, 256, 384) == 0
    assert aspect_stretch(100, 110, 100, 100) == pytest.approx(0.1)
    assert aspect_stretch(110, 100, 100, 100) == pytest.approx(0.1)
