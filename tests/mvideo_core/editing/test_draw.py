"""Drawn masks against geometry done by hand."""

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.editing import MaskClip
from mvideo_core.editing.draw import CanvasOptions, draw, parse_shapes, read_shapes
from mvideo_core.masks.measure import areas
from tests.mvideo_core.editing.drawn import boxes

CANVAS = CanvasOptions(height_px=80, width_px=120, fps=8, frames=9)  # one second


def drawn(*shapes: str) -> MaskClip:
    return draw(parse_shapes(shapes), CANVAS)


def test_a_box_covers_its_pixels_and_travels_from_key_to_key():
    # 24 x 16 px; the middle goes from (30, 40) to (90, 40): 60 px in 8 steps.
    clip = drawn("box: {label: car}")
    assert boxes(clip)[::2] == [[18 + 15 * t, 32, 42 + 15 * t, 48] for t in range(5)]
    assert (clip.labels, clip.fps, clip.sequence.shape) == (("car",), 8, (9, 1, 80, 120))
    assert areas(clip.sequence)[0] == [24 * 16]


def test_an_ellipse_has_the_pixels_whose_half_it_covers():
    clip = drawn("ellipse: {width_frac: 0.5, height_frac: 0.5, path: [[0, 0.5, 0.5]]}")
    y, x = np.mgrid[0:80:0.05, 0:120:0.05] + 0.025
    inside = ((x - 60) / 30) ** 2 + ((y - 40) / 20) ** 2 <= 1
    share = inside.reshape(80, 20, 120, 20).mean(axis=(1, 3))
    wrong = clip.sequence.mask(0, 0) ^ (share >= 0.5)
    assert not wrong[abs(share - 0.5) > 0.1].any()  # outlines are drawn to a sixteenth of a pixel
    assert areas(clip.sequence)[0, 0] == pytest.approx(np.pi * 30 * 20, rel=0.01)


def test_a_quarter_turn_is_counter_clockwise_and_a_scale_is_about_the_middle():
    # Right triangle in its box of 40 x 40 px: corner at the bottom left.
    points = "points: [[0, 0], [1, 1], [0, 1]], width_frac: 0.3333333333, height_frac: 0.5, path: [[0, 0.5, 0.5]]"
    plain, turned, half = drawn(
        f"polygon: {{{points}}}", f"polygon: {{{points}, angle_deg: 90}}", f"polygon: {{{points}, scale: 0.5}}"
    ).sequence.frame(0)
    assert plain[58, 42]
    assert not plain[22, 78]
    assert (np.rot90(plain[20:60, 40:80]) ^ turned[20:60, 40:80]).sum() < 45  # the slanted edge is 40 pixels long
    assert turned[58, 78]
    assert not turned[22, 42]
    assert half.sum() == pytest.approx(plain.sum() / 4, rel=0.05)


def test_text_is_legible_has_holes_and_its_own_width():
    clip = drawn("text: {text: O, height_frac: 0.5, path: [[0, 0.5, 0.5]]}")
    mask = clip.sequence.mask(0, 0)
    assert not mask[40, 60]  # inside the letter
    x0, y0, _, y1 = boxes(clip)[0]
    assert y1 - y0 == pytest.approx(40, abs=1)
    assert mask[40, x0 + 2]
    assert clip.labels == ("O",)


def test_shapes_are_hidden_outside_their_times_and_may_leave_the_frame():
    clip = drawn(
        "box: {show_from: 0.25, show_until: 0.5, path: [[0, 0.5, 0.5]]}",
        "box: {path: [[0, 0.5, 0.5], ['100%', 2, 0.5]]}",
    )
    seen = areas(clip.sequence) > 0
    assert np.flatnonzero(seen[:, 0]).tolist() == [2, 3]
    assert seen[:4, 1].all()
    assert not seen[-1, 1]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("circle", "no shape called 'circle'; known: ellipse, box, polygon, svg, text"),
        ("box: {radius: 3}", "allowed keys"),
        ("box: 3", "expected options of box in braces"),
        ("box: {label: dog, scale: 1.0e+9}", "box 'dog' reaches more than 1000000 px from the frame"),
        ("text: {text: a日}", "the font has no character for '日'"),
        ("polygon", "`points` is for polygon"),
        ("polygon: {points: [[0, 0], [1, 1]]}", "2 points; a polygon has 3 or more"),
        ("box: {text: a}", "`text` for text"),
        ("box: {label: dog, path: [[0, 3, 3]]}", r"shape 1 \(dog\) is never inside the frame \(9 frames\)"),
        ("box: {path: [[1, 0, 0], [0.5, 1, 1]]}", "times must increase"),
    ],
)
def test_what_cannot_be_drawn_is_refused(shape: str, said: str):
    with pytest.raises(ConfigError, match=said):
        drawn(shape)


def test_shapes_come_from_a_file(tmp_path):
    (tmp_path / "a.yaml").write_text("shapes:\n  - box: {label: car}\n  - ellipse\n")
    assert [shape.kind for shape in read_shapes(tmp_path / "a.yaml")] == ["box", "ellipse"]
    (tmp_path / "b.yaml").write_text("boxes: []\n")
    with pytest.raises(ConfigError, match="expected one key `shapes` with a list"):
        read_shapes(tmp_path / "b.yaml")
