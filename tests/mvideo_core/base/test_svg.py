"""Charts as well-formed XML whose texts cannot become markup."""

import xml.etree.ElementTree as ET

from mvideo_core.base.svg import chart, dot, polyline, text, tick

SVG = "{http://www.w3.org/2000/svg}"
EVIL = """</text><script>alert("1")</script> & 'a'"""


def test_texts_stay_texts() -> None:
    root = ET.fromstring(chart(100, 50, EVIL, [text(1, 2, EVIL, "end", font_weight="bold")], 12, "a{}"))
    assert root.attrib["aria-label"] == EVIL
    assert [(one.text, one.attrib["font-weight"]) for one in root.iter(f"{SVG}text")] == [(EVIL, "bold")]
    assert [one.text for one in root.iter(f"{SVG}style")] == ["a{}"]
    assert not list(root.iter(f"{SVG}script"))


def test_lines_dots_and_ticks_are_where_they_are_put() -> None:
    root = ET.fromstring(
        chart(100, 50, "", [polyline([(0, 1), (2.25, 3)], "red", 2), dot(4, 5, 1), tick(7, "v", 20, 90)], 9)
    )
    assert root.attrib["viewBox"] == "0 0 100 50"
    assert [one.attrib["points"] for one in root.iter(f"{SVG}polyline")] == ["0.0,1.0 2.2,3.0"]
    assert [(one.attrib["cx"], one.attrib["cy"]) for one in root.iter(f"{SVG}circle")] == [("4.0", "5.0")]
    assert [one.attrib["d"] for one in root.iter(f"{SVG}path")] == ["M20 7.0H90"]
    assert [(one.attrib["x"], one.text) for one in root.iter(f"{SVG}text")] == [("14.0", "v")]
