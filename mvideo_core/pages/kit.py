"""The shared kit of all HTML pages: base template, style sheet, macros and script.

A page is a folder with `page.html`, which extends `base.html`, and, if it needs them, `page.css` and script files. The
result is one file that opens from disk: CSS and script are inline, media files are next to it, and it needs no network.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def page_html(folder: Path, title: str, scripts: Sequence[str] = (), **values: Any) -> str:
    """The page of a folder's template; untrusted text is escaped.

    Args:
        folder: folder of `page.html` and its other files.
        title: title of the page and its first heading.
        scripts: names of script files in the folder or of the kit's own (elements.js); they share one scope.
        values: template variables; functions become filters by name.
    """
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, HERE]), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"words": words} | {name: value for name, value in values.items() if callable(value)}
    sheets = [sheet for sheet in (HERE / "base.css", folder / "page.css") if sheet.is_file()]
    return made.get_template("page.html").render(
        values,
        title=title,
        style="".join(sheet.read_text(encoding="utf-8") for sheet in sheets),
        script="".join(_script(folder, name) for name in scripts),
    )


def _script(folder: Path, name: str) -> str:
    own = folder / name
    return (own if own.is_file() else HERE / name).read_text(encoding="utf-8")


def words(key: str) -> str:
    """A key as words to read: "too_short" -> "too short"."""
    return key.replace("_", " ")
