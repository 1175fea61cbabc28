"""Sloppy masks of drawn shapes, against pixels worked out by hand."""

import numpy as np
import pytest

from mvideo_core.editing import sloppy
from mvideo_core.masks import MaskSequence, encode
from tests.mvideo_core.editing.drawn import HEIGHT, WIDTH, block, boxes, noise, square_path


def picture(text: str) -> np.ndarray:
    """Bool (H, W) of lines of dots and hashes."""
    return np.array([[one == "#" for one in line] for line in text.split()])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_dilation_by_one_pixel_adds_the_four_neighbors() -> None:
    before = encode(picture("..... ..... ..#.. ..... .....")[None, None])
    after = picture("..... ..#.. .###. ..#.. .....")
    assert np.array_equal(sloppy.dilate_masks(before, 1).pixels()[0, 0], after)


def test_the_hull_fills_the_bay_of_each_object_and_not_between_objects() -> None:
    angle, dot = picture("#.... #.... #.... #.... #####"), picture("....# ..... ..... ..... .....")
    found = sloppy.hull_masks(encode(np.stack([angle, dot])[None])).pixels()[0]
    assert np.array_equal(found[0], picture("#.... ##... ###.. ####. #####"))
    assert np.array_equal(found[1], dot)


def test_a_box_has_its_margin_on_every_side_and_ends_at_the_frame() -> None:
    """10 x 20 px with a margin of 0.2: 2 px left and right, 4 above and below."""
    assert boxes(
        block((20, 10, 30, 30))._replace(sequence=sloppy.box_masks(block((20, 10, 30, 30)).sequence, 0.2))
    ) == [[18, 6, 32, 34]]
    at_edge = sloppy.box_masks(block((0, 0, 10, 20)).sequence, 0.2).pixels()[0, 0]
    assert at_edge[:24, :12].all()
    assert at_edge.sum() == 24 * 12


def test_a_box_holds_its_object_and_nothing_more() -> None:
    angle = picture("..... .#... .#... .##.. .....")
    assert np.array_equal(
        sloppy.box_masks(encode(angle[None, None]), 0).pixels()[0, 0], picture("..... .##.. .##.. .##.. .....")
    )


def test_jitter_moves_whole_pixels_within_its_range_each_frame_on_its_own() -> None:
    still = block((20, 10, 30, 20), n_frames=400)
    moved = np.array(boxes(still._replace(sequence=sloppy.jitter_masks(still.sequence, 3, rng()))))
    assert (moved[:, 2:] - moved[:, :2] == 10).all()
    moves = moved[:, :2] - (20, 10)
    assert set(moves.flatten().tolist()) == set(range(-3, 4))
    # Of a uniform draw in -3..3, rounding gives each inner number 1/6, the ends 1/12: variance 19/6.
    assert moves.var(axis=0) == pytest.approx(19 / 6, rel=0.2)
    assert abs(np.corrcoef(moves[1:, 0], moves[:-1, 0])[0, 1]) < 0.15
    assert abs(np.corrcoef(moves.T)[0, 1]) < 0.15


def test_a_dropped_frame_holds_the_masks_before_it() -> None:
    path = square_path(n_frames=6, step=4)
    draws = rng().random(6)
    found = boxes(path._replace(sequence=sloppy.drop_frames(path.sequence, 0.5, rng())))
    wanted, held = [], 0
    for frame, own in enumerate(boxes(path)):
        if frame == 0 or draws[frame] >= 0.5:
            held = own
        wanted.append(held)
    assert found == wanted
    assert 1 < len({tuple(one) for one in found}) < 6
    assert sloppy.drop_frames(path.sequence, 0, rng()) == path.sequence
    assert len({tuple(one) for one in boxes(path._replace(sequence=sloppy.drop_frames(path.sequence, 1, rng())))}) == 1


def keyframes(masks: np.ndarray, step: int) -> np.ndarray:
    """Of one object, bool (T, H, W)."""
    found: MaskSequence = sloppy.keep_keyframes(encode(masks[:, None]), step)
    return found.pixels()[:, 0]


def test_between_keyframes_a_straight_path_is_kept_and_a_detour_is_not() -> None:
    path = square_path(n_frames=9, step=2).sequence.pixels()[:, 0]
    assert np.array_equal(keyframes(path, 4), path)
    detour = path.copy()
    detour[2] = np.roll(path[2], 5, axis=0)
    assert np.array_equal(keyframes(detour, 4), path)  # frame 2 is no keyframe


def test_between_keyframes_a_square_grows_evenly() -> None:
    """From 8 px to 16 px in four frames: 10, 12, 14 between. The last frame is a keyframe though 5 is no multiple."""
    masks = np.zeros((6, HEIGHT, WIDTH), bool)
    for frame, half in ((0, 4), (4, 8), (5, 2)):
        masks[frame, 20 - half : 20 + half, 30 - half : 30 + half] = True
    found = keyframes(masks, 4)
    assert found.sum(axis=(1, 2)).tolist()[::5] == [64, 16]
    for frame, half in ((1, 5), (2, 6), (3, 7)):
        rows, columns = np.nonzero(found[frame])
        assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (
            20 - half,
            20 + half,
            30 - half,
            30 + half,
        )


def test_an_object_of_one_keyframe_is_held_for_the_half_next_to_it() -> None:
    masks = np.zeros((5, HEIGHT, WIDTH), bool)
    masks[:3, 10:20, 10:20] = True
    assert keyframes(masks, 4).any(axis=(1, 2)).tolist() == [True, True, False, False, False]
    assert keyframes(masks[::-1], 4).any(axis=(1, 2)).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("n_objects", [0, 2])
def test_frames_objects_and_size_stay_and_empty_masks_stay_empty(n_objects: int) -> None:
    for masks in (encode(np.zeros((9, n_objects, HEIGHT, WIDTH), bool)), noise(9, n_objects).sequence):
        for changed in (
            sloppy.dilate_masks(masks, 2.5), sloppy.hull_masks(masks), sloppy.box_masks(masks, 0.1),
            sloppy.jitter_masks(masks, 2, rng()), sloppy.drop_frames(masks, 0.5, rng()),
            sloppy.keep_keyframes(masks, 4),
        ):  # fmt: skip
            assert changed.shape == masks.shape
            assert changed.pixels().any() == masks.pixels().any()
