"""The table of hand-overs, from chains whose trends are known."""

import numpy as np

from benchmarks.drift import chains_table, trends_of
from mvideo_core.evaluation.drift_meter import STATISTICS


def chain(red_per_clip: float) -> dict[str, np.ndarray]:
    """40 clips of gray level 100 with noise of 1; red changes by so much per clip."""
    random = np.random.default_rng(0)
    statistics = 100 + random.standard_normal((40, len(STATISTICS)))
    statistics[:, 0] += red_per_clip * np.arange(40)
    return {"statistics": statistics, "s_m": 0.5 + 0.01 * random.standard_normal(40), "seam": np.full(39, 2.0)}


def test_only_the_trend_that_is_there_gets_a_star() -> None:
    """1.02 gray levels per clip are 0.4 % of 255, 40 % in 100 clips."""
    table = chains_table({"still": chain(0), "red": chain(1.02)})
    rows = {line.split(" | ")[0].strip("| "): line.rstrip("| ").split(" | ")[1:] for line in table.splitlines()}
    still, red = rows["red mean, % per 100 clips"]
    assert "*" not in still
    assert red.endswith("*")
    assert abs(float(red.split(" ")[0]) - 40) < 2
    assert sum(cell.count("*") for cells in rows.values() for cell in cells) == 1
    assert rows["clips"] == ["40", "40"]
    assert rows["seam"] == ["2", "2"]
    assert not trends_of(chain(0))["S_m"].drifts
