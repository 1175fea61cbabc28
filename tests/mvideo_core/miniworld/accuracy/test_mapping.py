"""Source truth in clip pixels and frames, with the numbers worked out by hand."""

from fractions import Fraction

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.miniworld.accuracy.mapping import fit_frame, shot_on_screen, source_frames
from mvideo_core.miniworld.world.truth import SourceTruth, TruthShot


def test_clip_frames_show_the_source_frame_on_screen():
    # 25 frames/s, clip at 8 frames/s from 1 s: t = 1, 1.125, 1.25, 1.375, 1.5 -> 25, 28.125, 31.25, 34.375, 37.5
    assert source_frames(1.0, 5, 8.0, Fraction(25), 1000) == [25, 28, 31, 34, 37]


def test_a_frame_exactly_on_the_instant_is_shown_and_ntsc_does_not_drift():
    assert source_frames(0.0, 4, 8.0, Fraction(24), 1000) == [0, 3, 6, 9]
    # 30000/1001 frames/s at t = 100 s: 100 * 29.97003 = 2997.003 -> 2997; one clip frame later 3000.749 -> 3000
    assert source_frames(100.0, 2, 8.0, Fraction(30000, 1001), 10_000) == [2997, 3000]


def test_the_last_frame_stays_on():
    assert source_frames(0.875, 4, 8.0, Fraction(8), 9) == [7, 8, 8, 8]


def test_cover_crops_the_middle():
    # 640 x 360 to 3:2: 360 * 1.5 = 540 wide, (640 - 540) / 2 = 50 cut on each side
    assert fit_frame(640, 360, 720, 480).source == (50, 0, 590, 360)
    assert fit_frame(854, 480, 720, 480).source == (67, 0, 787, 480)
    # 640 x 480 is narrower than 3:2: 640 / 1.5 = 426.67 -> 426 high, 27 cut above
    assert fit_frame(640, 480, 720, 480).source == (0, 27, 640, 453)


def test_contain_adds_bars_and_stretch_does_neither():
    wide = fit_frame(1280, 720, 720, 480, "contain")
    # 720 / (16/9) = 405 -> even 404; (480 - 404) / 2 = 38
    assert wide.target == (0, 38, 720, 442)
    assert fit_frame(1280, 720, 720, 480, "stretch").target == (0, 0, 720, 480)
    with pytest.raises(ConfigError, match="cover, contain, stretch"):
        fit_frame(10, 10, 10, 10, "squeeze")


def test_boxes_move_and_scale_and_vanish_outside():
    fit = fit_frame(640, 360, 720, 480)  # scale 4/3, offset 50
    boxes = np.array([[50.0, 0.0, 590.0, 360.0], [110.0, 30.0, 140.0, 60.0], [0.0, 0.0, 40.0, 40.0]])
    out = fit.boxes(boxes)
    np.testing.assert_allclose(out[0], [0, 0, 720, 480])
    np.testing.assert_allclose(out[1], [80, 40, 120, 80])
    assert np.isnan(out[2]).all()


def test_masks_land_where_boxes_land():
    fit = fit_frame(640, 360, 720, 480)
    mask = np.zeros((360, 640), bool)
    mask[30:60, 110:140] = True
    out = fit.mask(mask)
    rows, columns = np.nonzero(out)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (80, 40, 120, 80)
    assert abs(int(out.sum()) - 1600) <= 8
    half = fit_frame(1440, 960, 720, 480)
    tile = np.zeros((960, 1440), bool)
    tile[100:104, 200:207] = True  # 2 rows x 3.5 columns of clip pixels; the half-covered column counts
    assert int(half.mask(tile).sum()) == 2 * 4


def test_inside_a_dissolve_the_brighter_shot_is_on_screen():
    shots = [_shot(0, 0, 12), _shot(1, 8, 10)]
    truth = SourceTruth(name="x", video="x.mp4", seed=0, split="val", width=4, height=4, fps_num=10, fps_den=1,
                        n_frames=18, cuts=[], shots=shots)  # fmt: skip
    assert [shot_on_screen(truth, frame).index for frame in (7, 8, 9, 10, 11, 12)] == [0, 0, 0, 1, 1, 1]


def _shot(index, first, n):
    return TruthShot(index=index, seed=0, first_frame=first, n_frames=n, start_s=first / 10, end_s=(first + n) / 10,
                     clean_start_s=0, clean_end_s=0, scene="lake", camera="static", camera_xyz=[], caption="",
                     objects=[], visible_masks="", amodal_masks="")  # fmt: skip
