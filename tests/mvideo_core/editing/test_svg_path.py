"""SVG paths against areas worked out by hand, and against Pillow's polygons."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mvideo_core.base.errors import ConfigError
from mvideo_core.editing.draw import CanvasOptions, draw, parse_shapes
from mvideo_core.editing.svg_path import commands, cover, svg_outlines
from mvideo_core.masks.measure import areas
from tests.mvideo_core.editing.drawn import boxes

CANVAS = CanvasOptions(height_px=160, width_px=240, fps=8, frames=9)
MIDDLE = "path: [[0, 0.5, 0.5]]"
SQUARE, INSIDE = "M0,0 H8 V8 H0 Z", "M2 2 h4 v4 h-4 z"
STAR = [(50 + 50 * np.sin(4 * np.pi * n / 5), 50 - 50 * np.cos(4 * np.pi * n / 5)) for n in range(5)]


def area(data: str, **options: str) -> int:
    more = "".join(f", {key}: {value}" for key, value in options.items())
    clip = draw(parse_shapes([f'svg: {{d: "{data}", height_frac: 0.5, {MIDDLE}{more}}}']), CANVAS)
    return int(areas(clip.sequence)[0, 0])


@pytest.mark.parametrize(
    ("data", "by_hand"),
    [
        # Everything is 80 px high.
        (SQUARE, 80 * 80),
        ("m 0 0 8 0 0 8 -8 0", 80 * 80),  # pairs behind a move are lines; open paths are closed
        ("M1e1 10h.8v.8h-.8", 80 * 80),
        ("M0 50a50 50 0 0 1 100 0a50,50 0 01-100 0z", np.pi * 40**2),  # a circle; flags without spaces
        ("M0 0 A 50 50 0 0 0 100 0", np.pi * 80**2 / 2),  # half of one, 50 high: 80 px are its radius
        ("M0 0 Q 50 100 100 0", 2 / 3 * 160 * 80),  # a parabola 50 high and 100 wide: two thirds of its box
        ("M0 0 Q 25 100 50 0 T 100 0", 2 * 2 / 3 * 40 * 40),  # its mirror image behind it; 100 high together
        ("M0 0 C 0 100 100 100 100 0", 0.8 * 80 * 80 * 100 / 75),  # 75 high; the area is 3/5 * 100 * 100 = 6000
        ("M0 0 C 0 4 2 4 2 0 S 4 -4 4 0", 2 * 0.8 * 40 * 40 * 2 / 3),  # 3 high each way and 2 wide: 0.8 of its box
    ],
)  # fmt: skip
def test_area_by_hand(data: str, by_hand: float) -> None:
    assert area(data) == pytest.approx(by_hand, rel=0.01)


def test_holes_follow_the_fill_rule() -> None:
    """Nonzero: a hole turns the other way round; even-odd: any outline in another is one."""
    other_way = "M2 2 v4 h4 v-4 z"
    assert area(f"{SQUARE} {INSIDE}") == 6400
    assert area(f"{SQUARE} {other_way}") == 4800
    assert area(f"{SQUARE} {INSIDE}", fill="evenodd") == area(f"{SQUARE} {other_way}", fill="evenodd") == 4800


@pytest.mark.parametrize("rule", ["nonzero", "evenodd"])
def test_a_star_that_crosses_itself_equals_pillows(rule: str) -> None:
    """Even-odd leaves the pentagon in the middle out. Pillow draws the ten corners' outline, and the pentagon."""
    inner = [(50 + 19.0983 * np.sin(np.pi * (2 * n + 1) / 5), 50 - 19.0983 * np.cos(np.pi * (2 * n + 1) / 5))
             for n in range(5)]  # fmt: skip
    outer = [(50 + 50 * np.sin(2 * np.pi * n / 5), 50 - 50 * np.cos(2 * np.pi * n / 5)) for n in range(5)]
    picture = Image.new("1", (800, 800))
    pen = ImageDraw.Draw(picture)
    around = [corner for pair in zip(outer, inner, strict=True) for corner in pair]
    pen.polygon([(8 * x - 0.5, 8 * y - 0.5) for x, y in around], fill=1)
    if rule == "evenodd":
        pen.polygon([(8 * x - 0.5, 8 * y - 0.5) for x, y in inner], fill=0)
    mine = cover([8 * np.array(STAR)], 800, 800, rule)  # type: ignore[arg-type]
    # Pillow fills the edge as well: a ring of one sample on outlines of 4000.
    assert (mine ^ np.asarray(picture)).sum() < 6000
    assert mine[400, 400] == (rule == "nonzero")
    # 10 triangles of 50 * 19.098 * sin(36) / 2, without the pentagon of 2.3776 * 19.098^2; 64 samples a unit.
    by_hand = 64 * (2806.4 - (867.2 if rule == "evenodd" else 0))
    assert mine.sum() == pytest.approx(by_hand, rel=0.002)


def test_the_shape_keeps_its_own_form_and_moves_on_its_keys() -> None:
    """Twice as wide as high, and far from its own origin: 80 px high at half the height, 160 wide."""
    clip = draw(
        parse_shapes(['svg: {d: "M100 100h20v10h-20z", height_frac: 0.5, path: [[0, 0.5, 0.5], [1, 1, 0.5]]}']), CANVAS
    )
    assert boxes(clip)[0] == [40, 40, 200, 120]
    assert boxes(clip)[4] == [100, 40, 240, 120]


def test_commands_are_read_one_by_one() -> None:
    assert [(one.letter, one.numbers) for one in commands("M1-2.5.5 3,4 5z l-1e1+2")] == [
        ("M", (1, -2.5)), ("L", (0.5, 3)), ("L", (4, 5)), ("z", ()), ("l", (-10, 2)),
    ]  # fmt: skip


def test_relative_and_absolute_agree() -> None:
    one = svg_outlines("M10 10 L20 10 C 20 15 15 20 10 20 A 5 5 0 0 1 10 10 Z")
    other = svg_outlines("m10 10 l10 0 c 0 5 -5 10 -10 10 a 5 5 0 0 1 0 -10 z")
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("L 0 0", r"path data 'L 0 0': 'L 0 0' at character 1; expected M or m first"),
        ("M 0 0 L 1", r"L with 1 numbers before character 10; it takes 2 or a multiple"),
        ("M 0 0 C 1 1 2 2", r"C with 4 numbers .* it takes 6 or a multiple"),
        ("M 0 0 X 1 1", r"'X 1 1' at character 7; expected one of the commands M L H V C S Q T A Z"),
        ("M 0 0 L 1 1 foo", r"'foo' at character 13"),
        ("M 0 0 L 1 1e", r"'e' at character 12"),
        ("M 0 0 A 1 1 0 2 0 3 3", r"'2 0 3 3' at character 15; expected 0 or 1, a flag of the arc"),
        ("M 0 0 L 1 1 Z 3", r"Z with 1 numbers .* it takes 0"),
        ("M 0 0 H 5", "the path has no area"),
        ("M 0 0 H 5 Z M 0 0 Z", "the path has no area"),
        (
            "M0 0 L1e400 0 L0 5 Z",
            r"'1e400 0 L0 5' at character 7; expected a number between -10,000,000 and 10,000,000",
        ),
        ("M0 0 L-1e9 0 L0 5 Z", r"'-1e9 0 L0 5 ' at character 7; expected a number between"),
        ("M 0 0 A 1e200 1e200 0 0 1 3 3", r"'1e200 1e200 ' at character 9; expected a number between"),
        ("M 0 0 L 1 NaN", "L with 1 numbers before character 11"),
    ],
)
def test_what_is_no_path_is_refused_in_one_line(data: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        parse_shapes([{"svg": {"d": data}}])
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("shapes, number 1: ")


def test_numbers_up_to_the_limit_are_drawn() -> None:
    assert area("M0 0H1e7V1e7H0Z") == 6400
    assert area("M-1e7 -1e7h1e7v1e7h-1e7z") == 6400


def test_an_svg_needs_its_path_and_no_other_shape_takes_one() -> None:
    for shape in ("svg", "svg: {d: ' '}", "box: {d: M0 0h1v1z}", "svg: {d: M0 0h1v1z, text: a}"):
        with pytest.raises(ConfigError, match="`d` for svg"):
            parse_shapes([shape])
