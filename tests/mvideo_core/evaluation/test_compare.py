from pathlib import Path

import pytest

from mvideo_core.errors import ConfigError
from mvideo_core.evaluation.compare import compare, find_side
from mvideo_core.evaluation.export import differences_markdown
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
    assert (got.low, got.high) == pytest.approx((10, 10))  # both pairs differ by 10: no resampling changes that
    assert (got.n_pairs, got.n_unpaired, got.n_better) == (2, 2, 2)
    assert got.told_apart
    assert (
        "| temporal_flickering | 55.00 | 65.00 | +10.00 [+10.00, +10.00] | 2 | 2 | 2 | yes |"
        in differences_markdown([got])
    )


def test_a_difference_within_noise_is_not_told_apart(tmp_path: Path) -> None:
    ups = [0.5 + (0.1 if n % 2 else -0.09) for n in range(20)]
    loaded = made(tmp_path, {"one": {"temporal_flickering": [0.5] * 20}, "two": {"temporal_flickering": ups}})
    (got,) = compare(find_side(loaded, "one"), find_side(loaded, "two"))
    assert got.difference == pytest.approx(0.5)
    assert not got.told_apart


def test_metrics_measured_otherwise_are_not_compared(tmp_path: Path) -> None:
    values = {"s": {"temporal_flickering": [0.5, 0.6]}}
    short = made(tmp_path / "a", values)
    options = {"metric": "temporal_flickering", "options": {"protocol": "long"}}
    long = made(tmp_path / "b", values, metrics=[options])
    with pytest.raises(ConfigError, match="not measured alike"):
        compare(find_side(short, ""), find_side(long, ""))


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
    with pytest.raises(ConfigError, match=r"2 ids stand for other prompts .* 'i0': 'p0' and 'another p0'"):
        compare(find_side(one, ""), find_side(one._replace(items=items), ""))
    bare = tuple(item.model_copy(update={"prompt": ""}) for item in one.items)  # not told: nothing to object to
    assert compare(find_side(one, ""), find_side(one._replace(items=bare), ""))[0].n_pairs == 2
