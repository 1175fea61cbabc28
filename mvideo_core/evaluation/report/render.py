"""The page as text: tables by template, rows by its script from the data inside it. Nothing comes from a network."""

from pathlib import Path

from mvideo_core.evaluation.export import frames_skipped, sheet_of
from mvideo_core.evaluation.figures import READING
from mvideo_core.evaluation.report.clips import SEEN, TRUE
from mvideo_core.evaluation.report.page_data import PageData
from mvideo_core.evaluation.result import EvalResult
from mvideo_core.options import canonical_json


def page_text(data: PageData, result: EvalResult) -> str:
    """The page's HTML. Texts from outside are escaped by the template, or set as text by the script."""
    import jinja2

    here = Path(__file__).parent
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return made.get_template("page.html").render(
        data=data,
        result=result,
        sheet=sheet_of(result),
        reading=READING,
        skipped=frames_skipped(result),
        style=(here / "page.css").read_text(encoding="utf-8"),
        script="".join((here / name).read_text(encoding="utf-8") for name in ("row.js", "page.js")),
        json=json_text(data),
        true_colour=_hex(TRUE),
        seen_colour=_hex(SEEN),
    )


def json_text(data: PageData) -> str:
    """The data as JSON that may stand inside a script element: no "<", ">" or "&" in it."""
    text = canonical_json(data.model_dump(mode="json", exclude_defaults=True))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
