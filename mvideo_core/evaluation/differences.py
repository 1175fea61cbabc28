"""Paired differences as Markdown, LaTeX and CSV, one table per pair of systems, with the verdict in words."""

import csv
import io
from collections.abc import Sequence

from mvideo_core.evaluation.compare import Difference
from mvideo_core.evaluation.figures import DIGITS
from mvideo_core.evaluation.layout import NEEDS_ARRAY, latex_text, markdown_table, wrap_column


def differences_markdown(differences: Sequence[Difference]) -> str:
    """One table per pair of systems, named in its heading, followed by how to read the verdicts."""
    parts = []
    for title, members in by_pair(differences):
        parts += [f"**{title}**", markdown_table(*difference_cells(members))]
    return "\n\n".join([*parts, explain_reading(differences)]) + "\n"


def differences_latex(differences: Sequence[Difference]) -> str:
    """One `tabular` with a heading line for each pair of systems."""
    body: list[str] = []
    head: list[str] = []
    for title, members in by_pair(differences):
        head, lines = difference_cells(members, named=False)
        body += [r"\hline", rf"\multicolumn{{{len(head)}}}{{l}}{{{latex_text(title)}}} \\", r"\hline"]
        body += [" & ".join(map(latex_text, line)) + r" \\" for line in lines]
    if not head:
        return "% no pair of systems\n"
    opening = rf"\begin{{tabular}}{{{wrap_column(0.13)}{'r' * (len(head) - 2)}{wrap_column(0.14)}}}"
    first = " & ".join(map(latex_text, head)) + r" \\"
    note = f"% {explain_reading(differences)}"
    size = r"{\scriptsize\setlength{\tabcolsep}{2.5pt}"
    return "\n".join([NEEDS_ARRAY, size, opening, first, *body, r"\hline", r"\end{tabular}}", note, ""])


def differences_csv(differences: Sequence[Difference]) -> str:
    """Every field of every difference, unrounded, and the verdict."""
    stream = io.StringIO()
    names = [*Difference.model_fields, "verdict"]
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({**one.model_dump(), "verdict": one.verdict} for one in differences)
    return stream.getvalue()


def difference_cells(members: Sequence[Difference], named: bool = True) -> tuple[list[str], list[list[str]]]:
    """Header and rows for one pair of systems; the header has their names, or "first" and "second"."""
    one = members[0]
    first, second = (one.first_system, one.second_system) if named else ("first", "second")
    head = ["metric", first, second, "difference", "pairs", "prompts", "unpaired", "higher", "p", "p, Holm", "verdict"]
    return head, [_line(one) for one in members]


def by_pair(differences: Sequence[Difference]) -> list[tuple[str, list[Difference]]]:
    """("B vs. A, test set", its differences), in order."""
    found: dict[str, list[Difference]] = {}
    for one in differences:
        where = f", {one.test_set}" if one.test_set else ""
        found.setdefault(f"{one.second_system} vs. {one.first_system}{where}", []).append(one)
    return list(found.items())


def explain_reading(differences: Sequence[Difference]) -> str:
    """How to read the differences, p-values and verdicts of one table."""
    if not differences:
        return "No two systems share an item."
    one = differences[0]
    several = f"the {one.family} comparisons" if one.family > 1 else "one comparison"
    return (
        f"Difference: second minus first over the pairs, with its {one.level:.0%} interval; higher: pairs where the "
        f"second is higher; p: paired sign-flip test over prompts; Holm: corrected for {several} of "
        f'this table. "different": corrected p of at most {1 - one.level:.2g}; "too few": even a '
        "difference in every prompt would not reach that in a table of this size. Intervals are not corrected."
    )


def verdict_text(one: Difference) -> str:
    """The verdict as printed in a table."""
    return f"too few (needs {one.n_needed})" if one.verdict == "too few" else one.verdict


def p_text(p: float | None) -> str:
    """ "0.031", or "0.0001" for small values."""
    if p is None:
        return "-"
    return f"{p:.3f}" if p >= 0.01 else f"{p:.1g}" if p < 0.001 else f"{p:.4f}"


def interval_text(one: Difference) -> str:
    """ "+1.25 [-0.59, +4.06]"."""
    assert one.difference is not None
    interval = f" [{one.low:+.{DIGITS}f}, {one.high:+.{DIGITS}f}]" if one.low is not None else ""
    return f"{one.difference:+.{DIGITS}f}{interval}"


def _line(one: Difference) -> list[str]:
    if one.difference is None:
        return [one.title, "-", "-", "no pairs", "0", "0", str(one.n_unpaired), "-", "-", "-", verdict_text(one)]
    return [
        one.title,
        f"{one.first:.{DIGITS}f}",
        f"{one.second:.{DIGITS}f}",
        interval_text(one),
        str(one.n_pairs),
        str(one.n_prompts),
        str(one.n_unpaired),
        str(one.n_better),
        p_text(one.p),
        p_text(one.p_corrected),
        verdict_text(one),
    ]
