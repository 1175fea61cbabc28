"""Sentences of README and docs that promise something, each with the test that shows it: promises.tsv.

Every place where a page uses one of the words of PROMISING must be in a row. A promise that no test shows has no place
in the docs; the few that are left so are counted.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from mvideo_core.base.listing import read_lines
from tests.reference.docstrings import PAGES as MADE_OF_DOCSTRINGS

ROOT = Path(__file__).parents[2]
PROMISING = re.compile(
    r"\bnever\b|\balways\b|nothing else|before anything|same bytes|byte for byte|bit for bit|whole or not at all|"
    r"nothing twice|\bno other\b"
)


class Row(NamedTuple):
    """`test`: node of the test that shows it; "-": a remark, which promises nothing; "?": no test shows it yet."""

    page: str
    wording: str
    test: str


TABLE = [Row(*line.split("\t")) for line in read_lines(Path(__file__).with_name("promises.tsv"), "table")[1:]]


def pages() -> dict[str, str]:
    """Text by name of the page below docs/, white space as single blanks."""
    docs = ROOT / "docs"
    made = [docs / "reference" / name for name in MADE_OF_DOCSTRINGS]
    files = [*docs.glob("*.md"), *(docs / "results").glob("*.md"), *made]
    names = {str(file.relative_to(docs)): file for file in files}
    names["README.md"] = ROOT / "README.md"
    return {name: " ".join(file.read_text(encoding="utf-8").split()) for name, file in sorted(names.items())}


@pytest.mark.parametrize("row", TABLE, ids=[f"{row.page}: {row.wording[:50]}" for row in TABLE])
def test_the_page_says_so_and_a_test_shows_it(row: Row) -> None:
    assert row.wording in pages()[row.page], "the sentence has changed: compare it with the test, then change the row"
    if row.test not in "-?":
        path, _, name = row.test.partition("::")
        tests = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", tests, re.MULTILINE), f"no test {row.test}"


def unshown(page: str, text: str) -> list[str]:
    """Uses of a promising word that no row covers, with the words around it."""
    rows = [row.wording for row in TABLE if row.page == page]
    spans = [match.span() for row in rows for match in re.finditer(re.escape(row), text)]
    return [
        text[max(0, found.start() - 60) : found.end() + 40]
        for found in PROMISING.finditer(text)
        if not any(start <= found.start() and found.end() <= end for start, end in spans)
    ]


def test_every_promising_word_belongs_to_a_row() -> None:
    found = {page: left for page, text in pages().items() if (left := unshown(page, text))}
    assert not found, "give the sentence a test and a row in promises.tsv, or take the promise out"


def test_a_new_promise_would_be_found() -> None:
    assert unshown("data.md", "The stage never fails.") == ["The stage never fails."]


def test_few_promises_are_without_a_test() -> None:
    assert [row.wording for row in TABLE if row.test == "?"] == ["and never in class accuracy"]
