import cv2
import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.editing import MaskClip
from mvideo_core.editing.resample import (
    HIDDEN,
    ResampleOptions,
    nearest_frames,
    past_end,
    placement,
    resample,
    resize,
    whole_clips,
)
from mvideo_core.masks import encode
from mvideo_core.masks.measure import areas
from tests.mvideo_core.editing.drawn import block, boxes, noise, square_path

SMALL = VideoFormat(height_px=16, width_px=32, motion_height_px=16, motion_width_px=16, clip_frames=9, fps=8)


def still(n_frames: int, fps: float) -> MaskClip:
    return block((8, 4, 16, 12), n_frames, fps=fps)


@pytest.mark.parametrize(
    ("n_frames", "fps", "hold_s", "clips"),
    [
        (9, 8.0, 0.0, 1),
        (16, 8.0, 0.0, 1),  # 15 steps of the 16 that two clips need
        (16, 8.0, 0.125, 2),
        (17, 8.0, 0.0, 2),
        (3, 8.0, 0.0, 1),  # at least one, its end held
        (49, 24.0, 0.0, 2),  # 2 s
        (60, 30.0, 0.0, 1),  # 59 / 30 s = 15.7 steps
        (60, 30.0, 0.5, 2),
    ],
)
def test_clips_that_the_masks_fill(n_frames, fps, hold_s, clips):
    assert whole_clips(still(n_frames, fps), SMALL, hold_s) == clips


def test_frames_and_size_of_the_grid():
    result = resample(square_path(n_frames=33), SMALL)
    assert result.sequence.shape == (4 * 8 + 1, 1, 16, 32)
    assert result.fps == 8.0
    assert resample(square_path(), SMALL, ResampleOptions(n_clips=3)).sequence.n_frames == 25


def test_nearest_in_time_by_hand():
    # 24 -> 8 fps: every third frame. 10 -> 8 fps: 0, 1.25, 2.5 (the later), 3.75, 5.
    assert nearest_frames(np.arange(4) / 8, 24).tolist() == [0, 3, 6, 9]
    assert nearest_frames(np.arange(5) / 8, 10).tolist() == [0, 1, 3, 4, 5]


@pytest.mark.parametrize(
    ("tail", "frames"),
    [
        ("hold", [HIDDEN, 0, 1, 2, 2, 2, 2]),
        ("hide", [HIDDEN, 0, 1, 2, HIDDEN, HIDDEN, HIDDEN]),
        ("loop", [HIDDEN, 0, 1, 2, 0, 1, 2]),
        ("bounce", [HIDDEN, 0, 1, 2, 1, 0, 1]),
    ],
)
def test_past_the_end(tail, frames):
    assert past_end(np.arange(-1, 6), 3, tail).tolist() == frames


def test_half_the_size_needs_half_the_area():
    mask = np.zeros((1, 1, 4, 4), bool)
    mask[0, 0, 0, 0:2] = True  # upper half of pixel (0, 0): 2 of 4
    mask[0, 0, 0, 2] = True  # 1 of 4 of pixel (0, 1)
    mask[0, 0, 2:, 2:] = True  # all of pixel (1, 1)
    assert resize(encode(mask), 2, 2).pixels()[0, 0].tolist() == [[True, False], [False, True]]


def test_two_thirds_of_the_size_by_exact_coverage():
    mask = np.zeros((1, 1, 3, 3), bool)
    mask[0, 0, :, 1] = True
    # Each new pixel is 1.5 px wide; the middle column covers [1, 1.5) and [1.5, 2): a third of both, below one half.
    assert not resize(encode(mask), 2, 2).pixels().any()
    mask[0, 0, :, 0] = True  # now the first new column is full, the second still at a third
    assert resize(encode(mask), 2, 2).pixels()[0, 0].tolist() == [[True, False], [True, False]]


def test_whole_enlargement_repeats_pixels():
    clip = noise()
    big = resize(clip.sequence, 80, 120)
    np.testing.assert_array_equal(big.pixels(), clip.sequence.pixels().repeat(2, axis=2).repeat(2, axis=3))
    assert resize(big, 40, 60) == clip.sequence


def test_shrinking_equals_an_independent_area_average():
    clip = noise(n_frames=1, n_objects=1, seed=4)
    clip = MaskClip(resize(clip.sequence, 120, 180), 8.0, ("",))  # blobs of 3 px
    coverage = cv2.resize(clip.sequence.mask(0, 0).astype(np.float64), (96, 64), interpolation=cv2.INTER_AREA)
    ours = resize(clip.sequence, 64, 96).mask(0, 0)
    clear = abs(coverage - 0.5) > 1e-3
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(ours[clear], (coverage > 0.5)[clear])


def test_fit_by_hand():
    # 40 x 60 into 16 x 32: scales 0.4 and 0.533.
    assert placement(40, 60, 16, 32, "letterbox") == pytest.approx((0.4, 0.4, 4.0, 0.0))
    assert placement(40, 60, 16, 32, "crop") == pytest.approx((32 / 60, 32 / 60, 0.0, (16 - 40 * 32 / 60) / 2))
    clip = block((10, 10, 20, 20))
    assert boxes(MaskClip(resize(clip.sequence, 16, 32, "letterbox"), 8, ("",))) == [[8, 4, 12, 8]]
    full = block((0, 0, 60, 40))
    assert areas(resize(full.sequence, 16, 32, "letterbox"))[0, 0] == 16 * 24  # bars of 4 px at both sides
    assert areas(resize(full.sequence, 16, 32, "crop"))[0, 0] == 16 * 32


def test_objects_outside_a_crop_vanish():
    clip = block((0, 0, 60, 2))  # 40 x 60 cropped to 20 x 60 keeps rows 10 to 30
    assert areas(resize(clip.sequence, 20, 60, "crop"))[0, 0] == 0
    assert resize(encode(np.zeros((2, 0, 4, 4), bool)), 8, 8).shape == (2, 0, 8, 8)


def test_masks_that_end_early_are_told(caplog):
    resample(still(9, 8.0), SMALL)
    resample(still(6, 8.0), SMALL)  # 3 frames short: within max_hold_s
    assert not caplog.text
    resample(still(3, 8.0), SMALL)  # 6 frames short
    assert "end 0.75 s before" in caplog.text
    assert "to 1.12 s" in caplog.text


def test_a_frame_rate_that_gives_days_of_clips_is_refused():
    clip = MaskClip(square_path().sequence, 1e-9, ("",))
    with pytest.raises(ConfigError, match=r"1e-09 frames per second last .* at most 10000: correct their frame rate"):
        resample(clip, VideoFormat(width_px=96, height_px=64, fps=8, clip_frames=17))
