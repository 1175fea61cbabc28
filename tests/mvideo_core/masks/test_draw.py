import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.codec import encode
from mvideo_core.masks.draw import COLORS, color_hex, draw_outlines, even_size, overlay_frames, tile, write_overlay
from mvideo_core.media.decode import read_clip


def drawn(n_frames=4, height=40, width=60):
    masks_TNHW = np.zeros((n_frames, 2, height, width), np.bool_)
    for t in range(n_frames):
        masks_TNHW[t, 0, 20:38, 4 : 12 + 8 * t] = True
    masks_TNHW[:, 1, 0:10, 50:60] = True
    return np.full((n_frames, height, width, 3), 100, np.uint8), encode(masks_TNHW)


def test_an_object_without_a_name_is_left_out():
    frames, masks = drawn()
    shown = next(iter(overlay_frames(frames, masks, ["", "x"])))
    assert shown.shape == frames[0].shape
    assert (shown[20:38, 4:12] == 100).all()
    assert (shown[0:10, 50:60] != 100).any()


def test_inside_is_tinted_by_the_stated_share():
    masks = encode(np.ones((1, 1, 40, 60), np.bool_))
    shown = next(iter(overlay_frames(np.full((1, 40, 60, 3), 100, np.uint8), masks, ["dog"])))
    assert shown[35, 55].tolist() == [149, 122, 62]  # 100 * 0.62 + (230, 159, 0) * 0.38, rounded down


def test_outline_has_the_full_color_and_colors_are_named():
    frames, masks = drawn()
    shown = list(overlay_frames(frames, masks, ["dog", "cat"]))[3]
    assert shown[37, 10].tolist() == list(COLORS[0])
    assert color_hex(0) == "#e69f00"
    assert color_hex(10) == color_hex(0)


def test_large_frames_are_shrunk_to_even_sides():
    assert even_size(1280, 720, 480) == (480, 270)
    assert even_size(721, 479, 480) == (480, 318)
    assert even_size(64, 48, 480) == (64, 48)
    frames, masks = np.zeros((1, 90, 160, 3), np.uint8), encode(np.zeros((1, 1, 90, 160), np.bool_))
    assert next(iter(overlay_frames(frames, masks, ["x"], max_side_px=80))).shape == (44, 80, 3)


def test_the_written_video_plays_and_the_poster_is_its_fullest_frame(tmp_path):
    from PIL import Image

    frames, masks = drawn()
    written = write_overlay(frames, masks, ["dog", ""], 8, tmp_path / "o.mp4", tmp_path / "o.png")
    assert written == 4
    assert read_clip(tmp_path / "o.mp4").shape == (4, 40, 60, 3)
    poster = np.asarray(Image.open(tmp_path / "o.png"))
    assert poster[37, 20].tolist() == list(COLORS[0])  # only the last frame's mask reaches column 20


@pytest.mark.parametrize(
    ("frames", "labels", "words"), [(3, 2, "3 frames, but 4"), (5, 2, "frame 4"), (4, 1, "1 labels")]
)
def test_mismatches_are_named(frames, labels, words):
    _, masks = drawn()
    with pytest.raises(MediaError, match=words):
        list(overlay_frames(np.zeros((frames, 40, 60, 3), np.uint8), masks, ["x"] * labels))


def test_borders_take_the_colors_in_turn_and_leave_the_inside():
    masks = np.zeros((3, 20, 60), np.bool_)
    for n in range(3):
        masks[n, 5:15, 20 * n + 5 : 20 * n + 15] = True
    frame = np.full((20, 60, 3), 9, np.uint8)
    shown = draw_outlines(frame, masks, [(1, 2, 3), (4, 5, 6)], 1)
    assert [shown[5, 20 * n + 5].tolist() for n in range(3)] == [[1, 2, 3], [4, 5, 6], [1, 2, 3]]
    assert (shown[10, 10] == 9).all()
    assert (frame == 9).all()


def test_three_cells_in_two_columns_by_hand():
    """Cells of 2x3 with a gap of 1: a sheet of 5x7; the fourth place and the gaps keep the gray."""
    sheet = tile([np.full((2, 3, 3), level, np.uint8) for level in (1, 2, 3)], 2, 1, fill=200)
    assert sheet[..., 0].tolist() == [
        [1, 1, 1, 200, 2, 2, 2],
        [1, 1, 1, 200, 2, 2, 2],
        [200] * 7,
        [3, 3, 3, 200, 200, 200, 200],
        [3, 3, 3, 200, 200, 200, 200],
    ]
