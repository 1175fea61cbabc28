"""Pages on a narrow screen: nothing runs off it, and a wide table keeps its title in view."""

from pathlib import Path

from benchmarks.stage_profile import KINDS, to_page
from mvideo_core.pages.data_report.render import page_text
from mvideo_core.pages.kit import page_html
from tests.fixtures.browser import Browser, needs_chromium, open_browser
from tests.mvideo_core.pages.data_report.test_render import data

TITLE = "A title of a table that is longer than the screen of a phone is wide, so it has to wrap"
TEMPLATE = (
    '{% extends "base.html" %}{% import "macros.html" as kit %}{% block main %}'
    "{{ kit.sheet_table(sheet, text) }}{{ kit.differences_table(head, lines, text) }}"
    "<dl><div><dt>a name of two words</dt><dd id='answer'>text</dd></div></dl>{% endblock %}"
)


def wide_page(folder: Path) -> str:
    """Tables of twelve columns below a long title."""
    (folder / "page.html").write_text(TEMPLATE)
    head, line = [f"column {n}" for n in range(12)], ["0.123456"] * 12
    sheet = {"head": head, "sections": [{"title": TITLE, "lines": [line]}]}
    return page_html(folder, "Wide", text=TITLE, head=head, lines=[line], sheet=sheet)


def profile_page() -> str:
    stage = {
        "items": 2, "unit": "clip", "wall_s": 4.0, "cpu_s": 3.0, "children_cpu_s": 1.0,
        "s_per_item": dict.fromkeys(KINDS, 0.3), "functions": [{"name": "a/long/" * 20 + "path.py f", "frac": 0.25}],
    }  # fmt: skip
    return to_page({"profile": "mini", "stages": {"segment": stage}, "goals": {}})


def right_edges(browser: Browser, selector: str) -> list[float]:
    """In CSS pixels from the left of the window."""
    edges = browser.run(
        f"Array.from(document.querySelectorAll('{selector}'), one => one.getBoundingClientRect().right)"
    )
    return list(edges)


@needs_chromium
def test_pages_fit_a_narrow_screen(tmp_path: Path) -> None:
    pages = {"wide": wide_page(tmp_path), "data": page_text(data()), "profile": profile_page()}
    with open_browser(tmp_path / "profile") as browser:
        browser.resize(400, 800, dark=True)
        for name, text in pages.items():
            page = tmp_path / f"{name}.html"
            page.write_text(text, encoding="utf-8")
            browser.open(page.as_uri())
            browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            assert browser.run("document.documentElement.scrollWidth") <= 400, name
            titles = right_edges(browser, "caption, .section span")
            assert titles
            assert max(titles) <= 400, name
            if name == "wide":
                assert max(right_edges(browser, "table")) > 600  # it scrolls in its box
                browser.run("document.querySelectorAll('.scroll').forEach(one => { one.scrollLeft = 300; })")
                assert max(right_edges(browser, "caption, .section span")) > 300  # still in view
                below = browser.run("document.querySelector('thead').getBoundingClientRect().top")
                title = browser.run("document.querySelector('caption').getBoundingClientRect().toJSON()")
                assert title["bottom"] <= below
                assert title["width"] > 300  # not squeezed into the first column
                left, _, _, _ = browser.box("#answer")
                assert left < 200
