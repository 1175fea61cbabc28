import numpy as np
import pytest
from PIL import ImageColor

from mvideo_core.perception.captioning.colors import NAMES, count_colors, main_color, name_colors


@pytest.mark.parametrize(
    ("name", "css"),
    [
        ("black", "black #1c1c1e"), ("white", "white snow #e8e8e4"), ("gray", "gray dimgray darkgray"),
        ("red", "red crimson firebrick maroon"), ("orange", "orange darkorange"), ("yellow", "yellow gold khaki"),
        ("green", "green lime forestgreen olivedrab seagreen"), ("teal", "teal darkcyan lightseagreen"),
        ("blue", "blue navy royalblue steelblue deepskyblue"), ("purple", "purple indigo blueviolet"),
        ("pink", "pink hotpink lightpink deeppink"), ("brown", "saddlebrown sienna #5a3c2d"),
        ("tan", "tan burlywood wheat"),
    ],
)  # fmt: skip
def test_colors_of_the_css_standard_have_their_everyday_names(name, css):
    colors = np.array([ImageColor.getrgb(one) for one in css.split()])
    assert [NAMES[n] for n in name_colors(colors)] == [name] * len(colors)


def test_the_border_of_a_mask_does_not_count():
    rgb = np.zeros((60, 60, 3), np.uint8)
    rgb[10:50, 10:50] = (0, 0, 255)
    rgb[12:48, 12:48] = (255, 0, 0)  # 1296 px red, 304 px blue
    mask = np.zeros((60, 60), bool)
    mask[10:50, 10:50] = True
    counts = count_colors(rgb, mask)
    assert dict(zip(NAMES, counts.tolist(), strict=True)) == dict.fromkeys(NAMES, 0) | {"red": 36 * 36}


def test_a_thin_mask_counts_whole():
    rgb = np.full((20, 20, 3), (0, 160, 0), np.uint8)
    mask = np.zeros((20, 20), bool)
    mask[10] = True
    counts = count_colors(rgb, mask)
    assert (counts[NAMES.index("green")], counts.sum()) == (20, 20)


def test_no_color_covers_enough_of_a_motley_thing():
    counts = np.zeros(len(NAMES))
    assert main_color(counts) == ""
    counts[:4] = 1
    assert main_color(counts) == ""
    counts[2] = 2
    assert main_color(counts) == "gray"
