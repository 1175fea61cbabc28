"""What every page has: one base, dark mode, a narrow screen, a keyboard."""

import re
from pathlib import Path

import pytest

import mvideo_core
from mvideo_core.pages.kit import HERE, page_html

PACKAGE = Path(mvideo_core.__file__).parent
TEMPLATES = sorted(PACKAGE.rglob("page.html"))
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "page.html").write_text(
        '{% extends "base.html" %}{% import "macros.html" as kit %}{% block main %}{{ text }} {{ 2 | double }}'
        '{{ kit.differences_table(["metric", "a", "verdict"], lines, text) }}{{ kit.picture("a b.png", text, "alt") }}'
        "{% endblock %}"
    )
    (tmp_path / "page.css").write_text(".mine { color: red; }")
    (tmp_path / "page.js").write_text("var mine = 1;")
    return tmp_path


def render(folder: Path, scripts: tuple[str, ...] = ()) -> str:
    return page_html(folder, EVIL, scripts, text=EVIL, lines=[["x", "1", "y"]], double=lambda n: 2 * n)


def test_texts_are_escaped_and_style_and_filters_are_the_pages_own(folder: Path) -> None:
    text = render(folder)
    assert EVIL not in text
    assert "<title>&lt;script&gt;" in text
    assert ".mine { color: red; }" in text
    assert "&lt;/script&gt; 4" in text


def test_scripts_run_only_where_a_page_has_one(folder: Path) -> None:
    assert "script-src" not in render(folder)
    assert "<script" not in render(folder)
    text = render(folder, ("page.js",))
    assert "script-src 'unsafe-inline'" in text
    assert text.count("<script>") == 1


def test_tables_scroll_by_keyboard_and_name_their_cells(folder: Path) -> None:
    text = render(folder)
    assert 'class="scroll " tabindex="0" role="region" aria-label="&lt;script&gt;' in text
    assert re.findall(r"<t[hd]\b[^>]*>", text) == [
        '<th scope="col">', '<th scope="col" class="n">', '<th scope="col">', '<th scope="row">', '<td class="n">',
        "<td>",
    ]  # fmt: skip


def test_there_is_a_dark_mode_and_a_way_past_the_header(folder: Path) -> None:
    text = render(folder)
    assert "@media (prefers-color-scheme: dark)" in text
    assert text.index('<a class="skip" href="#main">') < text.index("<header>") < text.index('<main id="main">')
    assert 'name="viewport" content="width=device-width' in text


@pytest.mark.parametrize("template", TEMPLATES, ids=[path.parent.name for path in TEMPLATES])
def test_every_page_is_built_on_the_kit(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert text.startswith('{% extends "base.html" %}')
    assert "aria-labeledby" not in text  # the attribute has two l


def test_no_page_is_written_without_the_kit() -> None:
    pages = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".html")
        and "<!doctype html><html lang" in "".join(path.read_text("utf-8").lower().split("\n"))
    ]
    assert pages == [(HERE / "base.html").relative_to(PACKAGE).as_posix()]
    assert len(TEMPLATES) == 7
