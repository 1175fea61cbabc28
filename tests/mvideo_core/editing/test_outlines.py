"""Operations on outlines against scipy's morphology, and on time against frame numbers written by hand."""

import numpy as np
import pytest
from scipy import ndimage

from mvideo_core.base.errors import ConfigError
from mvideo_core.editing import MaskClip
from mvideo_core.editing.morphology import dilate, erode
from mvideo_core.masks import encode
from tests.mvideo_core.editing.drawn import FPS, HEIGHT, WIDTH, block, boxes, noise, square_path
from tests.mvideo_core.editing.test_edits import edited


def disc(px: int) -> np.ndarray:
    y, x = np.mgrid[-px : px + 1, -px : px + 1]
    return x * x + y * y <= px * px


@pytest.mark.parametrize("px", [1, 2, 5])
@pytest.mark.parametrize(
    "clip", [noise(density=0.02), noise(density=0.9), square_path(step=12)], ids=["sparse", "dense", "square"]
)
def test_masks_are_dilated_and_eroded_by_a_disc(clip: MaskClip, px: int):
    """Nothing is outside beyond the frame's edge, so erosion does not start there."""
    for mask in clip.sequence.pixels().reshape(-1, HEIGHT, WIDTH):
        assert np.array_equal(dilate(mask, px), ndimage.binary_dilation(mask, disc(px)))
        assert np.array_equal(erode(mask, px), ndimage.binary_erosion(mask, disc(px), border_value=1))


def test_grow_and_shrink_work_on_each_object_of_each_frame():
    clip = square_path(step=12)
    assert boxes(edited(clip, "grow: {px: 2}"))[:2] == [[6, 8, 20, 22], [18, 8, 32, 22]]
    assert boxes(edited(clip, "shrink: {px: 2}"))[:2] == [[10, 12, 16, 18], [22, 12, 28, 18]]


def test_smooth_is_a_closing_and_an_opening_that_takes_notches_spikes_and_specks():
    mask = np.zeros((1, 1, HEIGHT, WIDTH), bool)
    mask[..., 8:32, 10:40] = True
    mask[..., 8:14, 20:23] = False  # a notch, 3 wide
    mask[..., 18:20, 40:50] = True  # a spike, 2 wide
    mask[..., 2:4, 2:4] = True  # a speck
    smooth = edited(MaskClip(encode(mask), FPS, ("",)), "smooth: {px: 3}").sequence.pixels()[0, 0]
    closed = ndimage.binary_erosion(ndimage.binary_dilation(mask[0, 0], disc(3)), disc(3), border_value=1)
    opened = ndimage.binary_dilation(ndimage.binary_erosion(closed, disc(3), border_value=1), disc(3))
    assert np.array_equal(smooth, opened)
    assert smooth[9:14, 20:23].all()
    assert not smooth[:, 43:].any()
    assert not smooth[:6, :6].any()


def test_holes_are_filled_and_bays_stay_open():
    mask = np.zeros((1, 1, HEIGHT, WIDTH), bool)
    mask[..., 5:25, 5:25] = True
    mask[..., 10:12, 10:12] = False
    bay = mask.copy()
    bay[..., 15:18, 15:] = False
    filled = edited(MaskClip(encode(bay), FPS, ("",)), "fill_holes").sequence.pixels()
    bay[..., 10:12, 10:12] = True
    assert np.array_equal(filled, bay)


def test_the_largest_part_stays_frame_by_frame():
    mask = np.zeros((2, 1, HEIGHT, WIDTH), bool)
    mask[0, 0, 5:10, 5:10] = mask[0, 0, 20:23, 30:33] = mask[1, 0, 20:30, 30:40] = mask[1, 0, 5:8, 5:8] = True
    mask[0, 0, 10:12, 10:12] = True  # touches the first one at a corner
    kept = edited(MaskClip(encode(mask), FPS, ("",)), "largest_part")
    assert boxes(kept) == [[5, 5, 12, 12], [30, 20, 40, 30]]


def test_invert_swaps_only_the_objects_named():
    clip = noise(n_objects=2)
    pixels = clip.sequence.pixels()
    pixels[:, 1] = ~pixels[:, 1]
    assert np.array_equal(edited(clip, "invert: {objects: [1]}").sequence.pixels(), pixels)
    assert edited(clip, "invert", "invert").sequence == clip.sequence
    with pytest.raises(ConfigError, match="objects 0 to 1"):
        edited(clip, "invert: {objects: [2]}")


def shown(clip: MaskClip, *ops) -> list[int]:
    """Which source frames an edit shows: the square goes 4 px a frame from 8."""
    return [(box[0] - 8) // 4 for box in boxes(edited(clip, *ops))]


@pytest.mark.parametrize(
    ("edit", "frames"),
    [
        ("delay: {by_s: 0.25}", [0, 0, 0, 1, 2, 3, 4]),  # two frames at 8 fps
        ("freeze: {at: '50%', for_s: 0.25}", [0, 1, 2, 2, 2, 3, 4]),
        ("freeze: {at: 0.5, for_s: 0.125}", [0, 1, 2, 3, 4, 4]),
        ("speed_ramp: {keys: [[0, 1], [0.25, 1]]}", [0, 1, 2, 3, 4]),
        ("speed_ramp: {keys: [[0, 0.5], [0.25, 0.5], [0.26, 2]], ease: step}", [0, 1, 1, 2, 2, 3]),
        # speeds 0.5 0.5 0.5 2 2: source frames are shown at 0, 2, 4, 5.25, 5.75
    ],
)
def test_time_is_held_and_bent(edit: str, frames: list[int]):
    assert shown(square_path(), edit) == frames


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match=r"freeze: 3 s is beyond the clip, which lasts 0\.625 s at 8 fps"):
        edited(square_path(), "freeze: {at: 3}")
    for edit in ("delay: {by_s: 0.05}", "freeze: {for_s: 0.05}"):
        with pytest.raises(ConfigError, match=r"0\.05 s is less than half a frame at 8 fps; use 0\.125 or more"):
            edited(square_path(), edit)
    with pytest.raises(ConfigError, match=r"speed_ramp: speed 0 to 1; 0\.01 to 100 allowed"):
        edited(square_path(), "speed_ramp: {keys: [[0, 0], ['100%', 1]]}")
    with pytest.raises(ConfigError, match="no object is in any frame of the masks"):
        edited(block((10, 10, 14, 14), label="dog"), "shrink: {px: 4}")
