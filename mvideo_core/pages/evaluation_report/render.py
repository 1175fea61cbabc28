"""Render the page: tables from a template, rows by its script from embedded data. No network access."""

from collections.abc import Sequence
from pathlib import Path

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import canonical_json
from mvideo_core.evaluation.compare import Difference, compare_all
from mvideo_core.evaluation.differences import by_pair, difference_cells, explain_reading
from mvideo_core.evaluation.export import describe_videos, frames_without, sheet_of
from mvideo_core.evaluation.figures import READING, metric_titles
from mvideo_core.evaluation.layout import Section
from mvideo_core.evaluation.paired_plot import plots_of_pairs
from mvideo_core.evaluation.result import LoadedResult
from mvideo_core.pages.evaluation_report.clips import SEEN, TRUE
from mvideo_core.pages.evaluation_report.page_data import PageData
from mvideo_core.pages.kit import page_html

MAX_SYSTEMS = 6
"""With more systems, all pairs (15 for six systems) are too many to read."""


def page_text(data: PageData, loaded: LoadedResult) -> str:
    """The page's HTML. Untrusted text is escaped by the template or set as text by the script."""
    result = loaded.result
    compared, note = _comparisons(loaded)
    return page_html(
        Path(__file__).parent,
        data.title,
        scripts=["elements.js", "row.js", "page.js"],
        data=data,
        result=result,
        sheet=sheet_of(result),
        titles=metric_titles(result.metrics),
        reading=READING,
        skipped=frames_without(result),
        measured=describe_videos(result),
        compared=compared,
        compared_note=note,
        plots=[one.svg for one in plots_of_pairs(loaded)] if len(result.groups) <= MAX_SYSTEMS else [],
        json=json_text(data),
        true_color=_hex(TRUE),
        seen_color=_hex(SEEN),
    )


def _comparisons(loaded: LoadedResult) -> tuple[list[Section], str]:
    """Tables for every pair of systems, and how to read them or why there are none."""
    if len(loaded.result.groups) > MAX_SYSTEMS:
        return [], f"More than {MAX_SYSTEMS} systems: compare pairs with `mvideo eval compare`."
    try:
        differences = compare_all(loaded)
    except ConfigError as error:
        return [], f"Not compared: {error}"
    sections = [Section(title, [*map(list, _table(members))]) for title, members in by_pair(differences)]
    return sections, explain_reading(differences) if differences else ""


def _table(members: Sequence[Difference]) -> list[list[str]]:
    head, lines = difference_cells(members)
    return [head, *lines]


def json_text(data: PageData) -> str:
    """The data as JSON that is safe inside a script element: no "<", ">" or "&"."""
    text = canonical_json(data.model_dump(mode="json", exclude_defaults=True))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
