from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.evaluation.compare import compare, compare_all, find_side
from mvideo_core.evaluation.differences import differences_markdown
from mvideo_core.evaluation.suite import IntervalOptions
from tests.mvideo_core.evaluation.results import made


def test_differences_are_over_pairs_only(tmp_path: Path) -> None:
    loaded = made(
        tmp_path,
        {
            "one": {"temporal_flickering": [0.5, 0.6, 0.7, None]},
            "two": {"temporal_flickering": [0.6, 0.7, None, 0.1]},
        },
    )
    (got,) = compare(find_side(loaded, "one"), find_side(loaded, "two"))
    assert got.first == pytest.approx(55)  # the pairs i0 and i1, times 100
    assert got.second == pytest.approx(65)
    assert got.difference == pytest.approx(10)
    assert (got.low, got.high, got.p, got.verdict) == (None, None, None, "too few")  # two pairs show nothing
    assert (got.n_pairs, got.n_prompts, got.n_unpaired, got.n_better) == (2, 2, 2, 2)
    text = differences_markdown([got])
    assert "**two vs. one**" in text
    assert "| temporal flickering | 55.00 | 65.00 | +10.00 | 2 | 2 | 2 | 2 | - | - | too few (needs 6) |" in text


def test_a_difference_within_noise_is_not_distinguishable(tmp_path: Path) -> None:
    ups = [0.5 + (0.1 if n % 2 else -0.09) for n in range(20)]
    loaded = made(tmp_path, {"one": {"temporal_flickering": [0.5] * 20}, "two": {"temporal_flickering": ups}})
    (got,) = compare(find_side(loaded, "one"), find_side(loaded, "two"))
    assert got.difference == pytest.approx(0.5)
    assert got.verdict == "not distinguishable"


def test_a_difference_of_every_pair_is_one(tmp_path: Path) -> None:
    second = [0.5 + 0.01 * n for n in range(1, 9)]  # +1 to +8 points: p = 1/128
    loaded = made(tmp_path, {"one": {"temporal_flickering": [0.5] * 8}, "two": {"temporal_flickering": second}})
    (got,) = compare(find_side(loaded, "one"), find_side(loaded, "two"))
    assert (got.p, got.p_corrected, got.verdict) == (1 / 128, 1 / 128, "different")
    # 6 of 127 subset means lie outside at 5 %: {1}, {2}, {1,2}, {3}, {1,3}, {1,2,3}: 1, 1.5, 2, 2, 2, then 2.33, ...
    assert (got.low, got.high) == pytest.approx((2.333, 6.667), abs=0.001)
    assert "+4.50 [+2.33, +6.67] | 8 | 8 | 0 | 8 | 0.0078 | 0.0078 | different |" in differences_markdown([got])


def test_p_values_of_one_table_are_corrected_together(tmp_path: Path) -> None:
    rises = {"temporal_flickering": [0.5 + 0.01 * n for n in range(1, 7)], "mask_miou": [0.5] * 6}
    loaded = made(tmp_path, {"one": {name: [0.5] * 6 for name in rises}, "two": rises, "three": rises})
    alone = compare(find_side(loaded, "one"), find_side(loaded, "two"))
    assert [one.p for one in alone] == [1.0, 1 / 32]
    # 2/32 = 0.0625 after Holm: with two comparisons 7 prompts are the least (2/64), with six 8 (6/128).
    assert [(one.verdict, one.n_needed) for one in alone] == [("too few", 7)] * 2
    every = compare_all(loaded)
    assert [(one.first_system, one.second_system) for one in every[::2]] == [
        ("one", "two"), ("one", "three"), ("two", "three"),
    ]  # fmt: skip
    assert {one.family for one in every} == {6}
    assert (every[1].p_corrected, every[1].n_needed) == (pytest.approx(6 / 32), 8)


@pytest.mark.parametrize("intervals", [{"draws": 99}, {"draws": 99, "level": 0.995}])
def test_few_draws_hide_no_difference_of_every_prompt(tmp_path: Path, intervals: dict[str, float]) -> None:
    """Six comparisons at 99 draws: 6/100 would be above 0.05 whatever the videos are."""
    values = {f"s{n}": {"temporal_flickering": [0.5 + 0.1 * n] * 20} for n in range(4)}
    loaded = made(tmp_path, values)
    suite = loaded.result.suite.model_copy(update={"intervals": IntervalOptions.parse(intervals)})
    found = compare_all(loaded._replace(result=loaded.result.model_copy(update={"suite": suite})))
    assert len(found) == 6
    assert {one.verdict for one in found} == {"different"}


def test_metrics_of_the_source_compare_no_systems(tmp_path: Path) -> None:
    metrics = [{"metric": "mask_miou", "as": "source", "options": {"subject": "source"}}]
    values = {"one": {"source": [0.5] * 6}, "two": {"source": [0.5] * 6}}
    loaded = made(tmp_path, values, metrics=metrics)
    assert compare(find_side(loaded, "one"), find_side(loaded, "two")) == []


def test_one_id_with_other_masks_is_no_pair(tmp_path: Path) -> None:
    loaded = made(tmp_path, {"one": {"mask_miou": [0.5, 0.6]}, "two": {"mask_miou": [0.5, 0.6]}})
    rows = tuple(
        row.model_copy(update={"masks_sha256": f"{row.id}, {row.system}" if row.id == "i1" else "same"})
        for row in loaded.rows
    )
    other = loaded._replace(rows=rows)
    with pytest.raises(ConfigError, match=r"mask_miou: 1 ids have different masks .* 'i1'"):
        compare(find_side(other, "one"), find_side(other, "two"))


def test_systems_of_the_same_name_are_named_by_their_folders(tmp_path: Path) -> None:
    sides = [find_side(made(tmp_path / name, {"s": {"mask_miou": [0.5]}}), "s") for name in "ab"]
    (got,) = compare(*sides)
    assert (got.first_system, got.second_system) == (f"s ({tmp_path / 'a'})", f"s ({tmp_path / 'b'})")


def test_metrics_measured_otherwise_are_not_compared(tmp_path: Path) -> None:
    values = {"s": {"temporal_flickering": [0.5, 0.6]}}
    short = made(tmp_path / "a", values)
    options = {"metric": "temporal_flickering", "options": {"protocol": "long"}}
    long = made(tmp_path / "b", values, metrics=[options])
    with pytest.raises(ConfigError, match="measured differently"):
        compare(find_side(short, ""), find_side(long, ""))


def test_options_that_change_memory_only_do_not_keep_results_apart(tmp_path: Path) -> None:
    def side(frames_per_pass: int):
        metrics = [{"metric": "mask_miou", "options": {"frames_per_pass": frames_per_pass}}]
        return find_side(made(tmp_path / f"{frames_per_pass}", {"s": {"mini_mask_miou": [0.5]}}, metrics=metrics), "s")

    (got,) = compare(side(4), side(8))
    assert (got.n_pairs, got.difference) == (1, 0)


def test_systems_are_found_by_name_or_listed(tmp_path: Path) -> None:
    loaded = made(tmp_path, {"one": {"temporal_flickering": [0.5]}, "two": {"temporal_flickering": [0.5]}})
    with pytest.raises(ConfigError, match=r"one \| two"):
        find_side(loaded, "three")
    with pytest.raises(ConfigError, match="several"):
        find_side(loaded, "")


def test_ids_that_stand_for_other_prompts_are_no_pairs(tmp_path: Path) -> None:
    """Ids of `eval generate` are numbers of a list of prompts: the same numbers of another list mean nothing."""
    one = made(tmp_path, {"one": {"temporal_flickering": [0.5, 0.6]}})
    items = tuple(item.model_copy(update={"prompt": f"another {item.prompt}"}) for item in one.items)
    with pytest.raises(ConfigError, match=r"2 ids have different prompts .* 'i0': 'p0' and 'another p0'"):
        compare(find_side(one, ""), find_side(one._replace(items=items), ""))
    bare = tuple(item.model_copy(update={"prompt": ""}) for item in one.items)  # not told: nothing to object to
    assert compare(find_side(one, ""), find_side(one._replace(items=bare), ""))[0].n_pairs == 2
