"""Tables with one section per metric, so that they fit a page for any number of metrics and systems."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

_LATEX = {letter: f"\\{letter}" for letter in "_%&#${}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "[": "{[}"}
NEEDS_ARRAY = r"% needs \usepackage{array}"
NAMES = ("System", "Model", "Video", "Test set")
"""Columns of text: in LaTeX they take a fixed share of the line, and long names wrap."""


class Section(NamedTuple):
    """Rows under one heading, such as those of a metric."""

    title: str
    lines: list[list[str]]


class Sheet(NamedTuple):
    """A table. `heading`: column heading of the section titles."""

    heading: str
    head: list[str]
    sections: list[Section]


def sheet_markdown(sheet: Sheet) -> str:
    """GitHub's Markdown; the section is the first column."""
    lines = [[section.title, *line] for section in sheet.sections for line in section.lines]
    return markdown_table([sheet.heading, *sheet.head], lines)


def sheet_csv(sheet: Sheet) -> str:
    """CSV with a header; the section is the first column."""
    stream = io.StringIO()
    lines = [[section.title, *line] for section in sheet.sections for line in section.lines]
    csv.writer(stream, lineterminator="\n").writerows([[sheet.heading, *sheet.head], *lines])
    return stream.getvalue()


def sheet_latex(sheet: Sheet) -> str:
    """A `tabular` with each section title on its own line; names wrap, so it fits a single-column page."""
    narrow = sum(name in NAMES for name in sheet.head) > 1
    width_frac, size, gap_pt = (0.12, r"\scriptsize", 2.5) if narrow else (0.17, r"\footnotesize", 4)
    columns = "".join(wrap_column(width_frac) if name in NAMES else "r" for name in sheet.head)
    body = [" & ".join(map(latex_text, sheet.head)) + r" \\"]
    for section in sheet.sections:
        body += [r"\hline", rf"\multicolumn{{{len(sheet.head)}}}{{l}}{{\textit{{{latex_text(section.title)}}}}} \\"]
        body += [" & ".join(map(latex_text, line)) + r" \\" for line in section.lines]
    return "\n".join(
        [
            NEEDS_ARRAY,
            rf"{{{size}\setlength{{\tabcolsep}}{{{gap_pt}pt}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            *body,
            r"\hline",
            r"\end{tabular}}",
            "",
        ]
    )


def wrap_column(width_frac: float) -> str:
    """A column of names for LaTeX: left-aligned, this share of the line wide."""
    return rf">{{\raggedright\arraybackslash}}p{{{width_frac}\linewidth}}"


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in GitHub's Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(text.replace("|", r"\|") for text in row) + " |" for row in rows)


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(letter, letter) for letter in text)
