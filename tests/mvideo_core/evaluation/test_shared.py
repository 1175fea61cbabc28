"""Every number of a table, recomputed with numpy and scipy from rows.jsonl and items.jsonl alone."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mvideo_core.base.errors import ConfigError
from mvideo_core.evaluation.compare import compare, compare_all, find_side
from mvideo_core.evaluation.export import sheet_of, to_csv, to_markdown
from mvideo_core.evaluation.result import LoadedResult, share_items
from mvideo_core.evaluation.tables import make_table, table_sheet
from tests.mvideo_core.evaluation.results import made

METRICS = ("mask_miou", "temporal_flickering")
SYSTEMS = ("A", "B", "C")


def uneven(out: Path) -> LoadedResult:
    """Three systems, 12 items, two metrics; some videos are missing."""
    draw = np.random.default_rng(4)
    values = {
        system: {metric: [float(one) for one in draw.beta(6 + place, 3, 12)] for metric in METRICS}
        for place, system in enumerate(SYSTEMS)
    }
    for system, lost in (("B", (3, 7)), ("C", (7, 9, 11))):
        for metric in METRICS:
            for place in lost:
                values[system][metric][place] = None
    return made(out, values)


def table_of(folder: Path) -> dict[tuple[str, str], dict[str, float]]:
    """(metric, system) -> id -> value, in printed units, read without this project's code."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for line in (folder / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["value"] is not None:
            found.setdefault((row["metric"], row["system"]), {})[row["id"]] = 100 * row["value"]
    return found


def flips_of(values: np.ndarray) -> tuple[float, float, float]:
    """p of "the mean is 0" and the interval, by trying every sign of every value."""
    n = len(values)
    signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)

    def p(shift: float) -> float:
        sums = signs @ (values - shift)
        return float((np.abs(sums) >= abs(sums[0]) - 1e-9).mean())

    ends = []
    for inside, outside in ((values.mean(), values.min() - 1), (values.mean(), values.max() + 1)):
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if p(middle) > 0.05 else (inside, middle)
        ends.append(inside)
    return p(0.0), ends[0], ends[1]


def test_every_aggregate_of_a_table_by_numpy(tmp_path: Path) -> None:
    loaded = uneven(tmp_path)
    values = table_of(tmp_path)
    rows = {(row["metric"], row["system"]): row for row in csv.DictReader(io.StringIO(to_csv(loaded.result)))}
    assert len(rows) == 6
    for metric in METRICS:
        common = sorted(set.intersection(*(set(values[metric, system]) for system in SYSTEMS)))
        assert len(common) == 8
        for system in SYSTEMS:
            row = rows[metric, system]
            own = np.array(list(values[metric, system].values()))
            shared = np.array([values[metric, system][name] for name in common])
            for prefix, numbers in (("", own), ("shared_", shared)):
                _, low, high = flips_of(numbers)
                assert float(row[f"{prefix}mean"]) == pytest.approx(np.mean(numbers), abs=1e-9)
                assert float(row[f"{prefix}low"]) == pytest.approx(low, abs=1e-6)
                assert float(row[f"{prefix}high"]) == pytest.approx(high, abs=1e-6)
                assert int(row[f"{prefix}n"]) == int(row[f"{prefix}n_prompts"]) == len(numbers)
            assert (int(row["n_missing"]), int(row["n_asked"])) == (12 - len(own), 12)
            assert row["incomplete"] == str(len(own) < 12)


def test_every_comparison_of_a_table_by_numpy_and_scipy(tmp_path: Path) -> None:
    loaded = uneven(tmp_path)
    values = table_of(tmp_path)
    found = compare_all(loaded)
    assert len(found) == 6
    for one in found:
        first, second = values[one.metric, one.first_system], values[one.metric, one.second_system]
        gains = np.array([second[name] - first[name] for name in sorted(first.keys() & second.keys())])
        p, low, high = flips_of(gains)
        whole = stats.permutation_test(
            (gains,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
        )
        assert one.difference == pytest.approx(gains.mean(), abs=1e-9)
        assert one.p == pytest.approx(p, abs=1e-12)
        assert one.p == pytest.approx(whole.pvalue, abs=1e-12)
        assert (one.low, one.high) == pytest.approx((low, high), abs=1e-6)
        assert (one.n_pairs, one.n_better) == (len(gains), int((gains > 0).sum()))
        assert one.n_unpaired == len(first.keys() ^ second.keys())
    p_values = np.sort([one.p for one in found])
    want = np.minimum(1, np.maximum.accumulate(p_values * np.arange(6, 0, -1)))  # Holm
    assert np.sort([one.p_corrected for one in found]) == pytest.approx(want)


def test_the_order_of_a_manifests_lines_changes_no_number(tmp_path: Path) -> None:
    loaded = uneven(tmp_path)
    turned = loaded._replace(rows=loaded.rows[::-1], items=loaded.items[::-1])
    (one,), (two,) = share_items([loaded]), share_items([turned])
    assert [group.shared for group in one.groups] == [group.shared for group in two.groups]
    assert compare_all(loaded) == compare_all(turned)


def test_a_system_that_lost_its_hard_items_does_not_lead_unmarked(tmp_path: Path) -> None:
    """Own means: 80 of three easy items, 60 of all six; over the shared three the second is better."""
    values = {
        "loses": {"mask_miou": [0.8, 0.8, 0.8, None, None, None]},
        "whole": {"mask_miou": [0.9, 0.9, 0.9, 0.3, 0.3, 0.3]},
    }
    loaded = made(tmp_path, values)
    text = to_markdown(loaded.result)
    assert "| loses | 80.00* | 3 | 3 | 3 | 0 |  |" in text
    assert "| whole | 90.00 | 3 | 3 | 0 | 0 | 60.00 (6) |" in text
    (section,) = sheet_of(loaded.result).sections
    assert [line[1] for line in section.lines] == ["80.00*", "90.00"]


def test_tables_of_several_results_share_items_across_them(tmp_path: Path) -> None:
    one = made(tmp_path / "a", {"first": {"temporal_flickering": [0.5, 0.7, None]}})
    two = made(tmp_path / "b", {"second": {"temporal_flickering": [0.6, None, 0.9]}})
    shared = share_items([one, two])
    lines = [
        line
        for section in table_sheet(make_table("2", [("a", shared[0]), ("b", shared[1])])).sections
        for line in section.lines
        if section.title == "temporal flickering"
    ]
    assert [(line[0], *line[3:]) for line in lines] == [
        ("first", "50.00*", "1", "1", "1", "0", "60.00 (2)"),
        ("second", "60.00*", "1", "1", "1", "0", "75.00 (2)"),
    ]


def test_one_id_with_other_prompts_is_no_shared_item(tmp_path: Path) -> None:
    one = made(tmp_path / "a", {"first": {"temporal_flickering": [0.5, 0.7]}})
    two = made(tmp_path / "b", {"second": {"temporal_flickering": [0.6, 0.8]}})
    items = tuple(item.model_copy(update={"prompt": f"other {item.prompt}"}) for item in two.items)
    got = [result.groups[0] for result in share_items([one, two._replace(items=items)])]
    assert [group.shared["temporal_flickering"].n for group in got] == [0, 0]
    text = to_markdown(share_items([one, two._replace(items=items)])[0])
    assert "| first | 60.00* | 2 | 2 | 0 | 0 |  |" in text  # its own mean, marked


def test_a_system_without_masks_does_not_empty_the_others_table(tmp_path: Path) -> None:
    loaded = made(tmp_path, {"base": {"mask_miou": [None, None]}, "ours": {"mask_miou": [0.5, 0.7]}})
    rows = tuple(
        row.model_copy(update={"status": "inapplicable"}) if row.system == "base" else row for row in loaded.rows
    )
    (result,) = share_items([loaded._replace(rows=rows)])
    assert result.groups[1].shared["mask_miou"].n == 2


def on_grids(loaded: LoadedResult, *digests: tuple[str, str]) -> LoadedResult:
    """Rows of the systems with digests of (masks on the grid, the sample's masks), one pair a system."""
    named = dict(zip(dict.fromkeys(row.system for row in loaded.rows), digests, strict=True))
    rows = [
        row.model_copy(
            update={
                field: one and f"{one} {row.id}"
                for field, one in zip(("masks_sha256", "sample_masks_sha256"), named[row.system], strict=True)
            }
        )
        for row in loaded.rows
        if row.metric == "mask_miou"
    ]
    return loaded._replace(rows=tuple(rows))


@pytest.mark.parametrize(
    ("digests", "n_shared"),
    [
        ((("12 s", "own"), ("6 s", "own"), ("480x832", "own")), 2),  # one sample on three grids
        ((("12 s", "own"), ("own", ""), ("6 s", "own")), 2),  # the second scored with the sample's own masks
        ((("12 s", "own"), ("12 s", ""), ("6 s", "own")), 2),  # the second scored with those of the first's grid
        ((("12 s", "own"), ("6 s", "other"), ("6 s", "other")), 0),
        ((("12 s", ""), ("6 s", ""), ("6 s", "")), 0),  # nothing says whose they are
    ],
)
def test_systems_on_grids_of_their_own_share_the_sample(
    digests: tuple[tuple[str, str], ...], n_shared: int, tmp_path: Path
) -> None:
    values = {system: {"mask_miou": [0.5, 0.7]} for system in SYSTEMS}
    loaded = on_grids(made(tmp_path, values), *digests)
    (result,) = share_items([loaded])
    assert [group.shared["mask_miou"].n for group in result.groups] == [n_shared] * 3
    assert [group.n_asked["mask_miou"] for group in result.groups] == [2 if n_shared else 4] * 3
    first, second = (find_side(loaded, system) for system in SYSTEMS[:2])
    if n_shared:
        assert compare(first, second)[0].n_pairs == 2
    else:
        with pytest.raises(ConfigError, match=r"2 ids have different masks on the two sides, e\.g\. 'i0'"):
            compare(first, second)
