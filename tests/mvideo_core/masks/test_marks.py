"""Numbers on drawn masks. The independent check: where pixels changed, and the distance between every two pixels."""

import itertools

import numpy as np
import pytest

from mvideo_core.masks.marks import draw_marks, place_tags

H, W = 120, 180
TAG = (16, 14)


def disc(x, y, radius, height=H, width=W):
    rows, columns = np.mgrid[:height, :width]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def gap(spot, mask):
    """Pixels between a tag's box and a mask, by brute force; 0 if they touch or overlap."""
    rows, columns = np.nonzero(mask)
    across = np.maximum(0, np.maximum(spot.x0 - columns, columns - (spot.x1 - 1)))
    down = np.maximum(0, np.maximum(spot.y0 - rows, rows - (spot.y1 - 1)))
    return float(np.hypot(across, down).min())


def center_distance(spot, mask):
    rows, columns = np.nonzero(mask)
    return np.hypot(columns - (spot.x0 + spot.x1) / 2, rows - (spot.y0 + spot.y1) / 2).min()


def overlap(a, b):
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


def check(masks, spots, far_px=TAG[0]):
    for n, spot in enumerate(spots):
        assert 0 <= spot.x0 < spot.x1 <= W
        assert 0 <= spot.y0 < spot.y1 <= H
        assert gap(spot, masks[n]) <= far_px
        others = [center_distance(spot, masks[m]) for m in range(len(masks)) if m != n and masks[m].any()]
        assert all(center_distance(spot, masks[n]) <= one + 1 for one in others)
    assert not any(overlap(a, b) for a, b in itertools.combinations(spots, 2))


def test_a_large_object_has_its_number_inside_and_a_small_one_beside():
    masks = np.stack([disc(60, 60, 40), disc(150, 60, 6)])
    large, small = place_tags(masks, [TAG, TAG])
    check(masks, [large, small])
    assert masks[0][large.y0 : large.y1, large.x0 : large.x1].all()
    assert abs((large.x0 + large.x1) / 2 - 60) <= 12
    assert not masks[1][small.y0 : small.y1, small.x0 : small.x1].any()


@pytest.mark.parametrize("seed", range(12))
def test_numbers_of_many_objects_are_near_them_and_apart(seed):
    draw = np.random.default_rng(seed)
    masks = np.stack([disc(draw.integers(W), draw.integers(H), draw.integers(3, 30)) for _ in range(8)])
    masks[1:] &= ~np.maximum.accumulate(masks[:-1])  # visible parts do not overlap
    seen = [n for n in range(8) if masks[n].any()]
    spots = place_tags(masks, [TAG] * 8)
    assert all(spots[n] is None for n in range(8) if n not in seen)
    placed = [n for n in seen if spots[n] is not None]
    assert len(placed) >= len(seen) - 1  # in a crowd, a covered sliver may find no place
    check(masks[placed], [spots[n] for n in placed], far_px=2 * TAG[0])


def test_tiny_objects_side_by_side_and_at_the_corner_get_numbers_of_their_own():
    masks = np.stack([disc(90, 60, 3), disc(98, 60, 3), disc(106, 60, 3), disc(0, 0, 3), disc(W - 1, H - 1, 3)])
    check(masks, place_tags(masks, [TAG] * 5), far_px=2 * TAG[0])


def test_no_place_left_is_no_number_and_no_outline():
    masks = np.ones((1, 10, 10), bool)
    assert place_tags(masks, [(16, 14)]) == [None]
    frames = np.full((1, 10, 10, 3), 100, np.uint8)
    marked, spots = draw_marks(frames, masks[None])
    assert (spots, (marked == frames).all()) == ([[None]], True)


def test_only_outline_and_number_are_drawn_in_one_color_over_all_frames():
    frames = np.full((2, 240, 360, 3), (40, 90, 40), np.uint8)
    masks = np.zeros((2, 2, 240, 360), bool)
    masks[0, 0], masks[1, 0] = disc(120, 120, 60, 240, 360), disc(160, 120, 60, 240, 360)
    masks[1, 1] = disc(300, 60, 20, 240, 360)
    marked, spots = draw_marks(frames, masks)
    assert (spots[0][1], spots[1][1] is not None) == (None, True)
    for t in range(2):
        changed = (marked[t] != frames[t]).any(axis=2)
        allowed = np.zeros((240, 360), bool)
        for n in range(2):
            inner = np.roll(masks[t, n], 1, 0) & np.roll(masks[t, n], -1, 0)
            inner &= np.roll(masks[t, n], 1, 1) & np.roll(masks[t, n], -1, 1)
            allowed |= masks[t, n] & ~inner  # one pixel wide
            if spots[t][n] is not None:
                allowed[spots[t][n].y0 : spots[t][n].y1, spots[t][n].x0 : spots[t][n].x1] = True
        assert not (changed & ~allowed).any()
        assert changed[masks[t, 0]].mean() < 0.1
    first, second = marked[0, 120, 60], marked[1, 120, 100]  # the left ends of the disc's outlines
    assert first.tolist() == second.tolist()
    assert np.abs(first.astype(int) - (40, 90, 40)).sum() > 200
