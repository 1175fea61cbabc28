"""False alarms by number of prompts: the page in benchmarks/results, and a part of its simulation again."""

from pathlib import Path

import pytest

from benchmarks.false_alarms import ALLOWED, KINDS, NUMBERS, rates

PAGE = Path(__file__).parents[2] / "benchmarks" / "results" / "false_alarms.md"


def page() -> dict[int, list[str]]:
    """Cells of the table by number of prompts."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return {int(cells[0]): cells[1:] for cells in lines if cells[0].isdecimal()}


def test_the_test_keeps_its_promise_at_every_number_of_prompts_and_the_bootstrap_did_not() -> None:
    table = page()
    assert list(table) == list(NUMBERS) == list(range(2, 73))
    before, after = ([[float(cell) for cell in cells[start::2]] for cells in table.values()] for start in (0, 1))
    assert max(map(max, after)) <= 100 * ALLOWED == 6
    assert min(map(min, before[:11])) > 100 * ALLOWED  # 2 to 12 prompts
    assert all(len(one) == len(KINDS) for one in (*before, *after))


@pytest.mark.parametrize("n", [3, 6, 9])
def test_a_part_of_the_simulation_again(n: int) -> None:
    """A tenth of its draws; 8% leaves room for chance."""
    found = rates(n, 500, 50)
    assert max(found.after.values()) <= 0.08
    assert (min(found.after.values()) > 0) == (n >= 6)
    assert max(found.before.values()) > 0.08


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 24, 72])
def test_the_page_is_what_the_simulation_prints(n: int) -> None:
    found = rates(n, 5000, 500)
    wanted = [f"{100 * kind[name]:.1f}" for name in KINDS for kind in (found.before, found.after)]
    assert page()[n] == wanted
