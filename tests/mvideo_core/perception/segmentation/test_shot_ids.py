"""Ids over the clips of one shot, on drawn people with known masks."""

import numpy as np

from mvideo_core.masks import encode
from mvideo_core.masks.io.clip import take_frames
from mvideo_core.miniworld.world import Path, render_shot
from mvideo_core.perception.segmentation.shot_ids import continue_objects, shot_ids
from tests.mvideo_core.perception.segmentation.walkers import walkers

FPS, N_FRAMES = 8, 48


def two_walkers():
    """Masks of one person who walks to the right and one who stands, 6 s at 8 frames/s."""
    spec = walkers([Path(-0.5, 0.9, 0.1), Path(0.4, 0.9)], N_FRAMES / FPS, height=0.5)
    return encode(np.stack([frame.visible for frame in render_shot(spec, N_FRAMES, 144, 96, fps=FPS)]))


def test_ids_hold_over_the_boundaries():
    whole = two_walkers()
    first, second, third = (take_frames(whole, range(start, start + 16)) for start in (0, 16, 32))
    assert list(shot_ids([first, second, third])) == [[0, 1], [0, 1], [0, 1]]
    # Found in another order; one is missed in the middle and new afterwards.
    assert list(shot_ids([first, second.select([1, 0]), third])) == [[0, 1], [1, 0], [0, 1]]
    assert list(shot_ids([first, second.select([1]), third])) == [[0, 1], [1], [2, 1]]
    assert list(shot_ids([first.select([1]), second], first_id=5)) == [[5], [6, 5]]


def test_an_object_hidden_at_the_boundary_keeps_its_id_for_a_few_frames():
    pixels = two_walkers().pixels()
    for reach, expected in ((3, {0: 0, 1: 1}), (4, {1: 1})):
        changed = pixels.copy()
        changed[16 - reach : 16, 0] = False
        assert continue_objects(encode(changed[:16]), encode(changed[16:32])) == expected
    empty = encode(np.zeros((4, 0, 96, 144), bool))
    assert continue_objects(empty, encode(pixels[:4])) == {} == continue_objects(encode(pixels[:4]), empty)
