"""Tables one metric below the other, at most as wide as a page however many metrics and systems there are."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

_LATEX = {letter: f"\\{letter}" for letter in "_%&#${}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
TEXT_WIDTH = 0.17
"""Share of the line that a column of names has in LaTeX; longer names wrap."""
N_NAMES = ("System", "Model", "Video", "Test set")


class Section(NamedTuple):
    """Lines under one heading, such as those of a metric."""

    title: str
    lines: list[list[str]]


class Sheet(NamedTuple):
    """A table. `heading`: what the titles of its sections are."""

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
    """A `tabular` with the section's title on a line of its own; names wrap, so it fits a page of one column."""
    columns = "".join(
        rf">{{\raggedright\arraybackslash}}p{{{TEXT_WIDTH}\linewidth}}" if name in N_NAMES else "r"
        for name in sheet.head
    )
    body = [" & ".join(map(latex_text, sheet.head)) + r" \\"]
    for section in sheet.sections:
        body += [r"\hline", rf"\multicolumn{{{len(sheet.head)}}}{{l}}{{\textit{{{latex_text(section.title)}}}}} \\"]
        body += [" & ".join(map(latex_text, line)) + r" \\" for line in section.lines]
    return "\n".join(
        [
            r"% needs \usepackage{array}",
            r"{\footnotesize\setlength{\tabcolsep}{4pt}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            *body,
            r"\hline",
            r"\end{tabular}}",
            "",
        ]
    )


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in GitHub's Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(text.replace("|", r"\|") for text in row) + " |" for row in rows)


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(letter, letter) for letter in text)
