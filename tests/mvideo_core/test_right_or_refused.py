"""Each silent error of docs/results/right_or_refused.md, with the smallest real input: right, refused or a warning.

The full proof of a kind is in the tests of the file that the page names; here one case shows that it is handled.
"""

from pathlib import Path

import pytest

from tests.mvideo_core.right_or_refused import captions, evaluation, inputs, models, runs

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "results" / "right_or_refused.md"
KINDS = inputs.CASES | captions.CASES | runs.CASES | models.CASES | evaluation.CASES


def _page():
    """Kind -> the file that handles it, of the table in the docs."""
    rows = [line.strip("|").split("|") for line in PAGE.read_text(encoding="utf-8").split("\n") if line.startswith("|")]
    return {row[0].strip(): row[2].strip(" `") for row in rows[2:]}


@pytest.mark.parametrize("name", KINDS)
def test_right_or_refused(tmp_path, name):
    KINDS[name](tmp_path)


def test_every_kind_has_a_row_and_a_case():
    page = _page()
    assert list(page) == list(KINDS)
    assert [place for place in page.values() if not (ROOT / place).is_file()] == []
