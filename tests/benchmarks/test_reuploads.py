"""Re-uploads are found, and unrelated sources are left alone: on drawn videos, with the goals of the benchmark."""

from pathlib import Path

import pytest

from benchmarks.reuploads import COPIES, counts, measure, table


def test_a_few_sources_and_their_copies(tmp_path: Path) -> None:
    """A stopped measurement continues, and the table has a line for each kind of copy."""
    state = tmp_path / "state.jsonl"
    measure(state, 1, 0)
    lines = state.read_text()
    results = measure(state, 1, 2)
    assert state.read_text().startswith(lines)
    assert [one.get("source", one.get("other")) for one in results] == [0, 10_000, 10_001]
    assert sum(line.startswith("| ") for line in table(results)) == 2 + len(COPIES)


@pytest.mark.slow
def test_recall_is_95_of_100_with_no_false_one_in_500(tmp_path: Path) -> None:
    found = counts(measure(tmp_path / "state.jsonl", 60, 500))
    assert found.found >= 0.95 * found.copies
    assert (found.others, found.wrong) == (500, 0)
