"""Intervals and p-values of means come from a sign-flip test over prompts; with fewer than six prompts, there are
neither.

If there were no difference, each prompt's total could just as well have the opposite sign. So the observed mean is
compared with the means under all sign flips (or a seeded sample of them). Videos of one prompt (several seeds) are not
independent, so they are flipped together. The interval contains every value that the same test does not reject, so the
two cannot contradict each other. For any number of prompts, the rate of false alarms is at most 1 - level if
differences are symmetric, which holds if the two systems do not differ. Normality is not assumed.

Source: Fisher (The Design of Experiments, 1935) for the test; Hartigan (JASA 1969, "Using subsample values as typical
values") for the interval, whose ends are means of subsets; Holm (1979) for several comparisons.
"""

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mvideo_core.base.errors import ConfigError
from mvideo_core.evaluation.suite import MAX_DRAWS, IntervalOptions

MIN_CLUSTERS = 6
"""Below this, no 5% test exists: 5 prompts have 16 distinct flips, so the smallest p-value is 1/16."""
EXACT_CLUSTERS = 14
"""Up to this many prompts, all flips are tried (8,192); beyond it, that many draws (or all, if fewer)."""
SPARE_DRAWS = 4
"""Factor over the draws that a table's smallest p-value needs: up to 3 may be as extreme as the data by chance."""
_AT_ONCE = 1 << 22
"""Signs in memory at once, about 32 MB as float64."""
_ROUNDING = 1e-12
"""Means closer than this fraction of the largest value are equal: low-order bits depend on summation order."""


class Estimate(NamedTuple):
    """A mean, its interval, and the p-value of "the mean is 0"; all but the mean are None if prompts are too few."""

    mean: float
    low: float | None
    high: float | None
    p: float | None
    n_clusters: int


def estimate_mean(
    values: Sequence[float], clusters: Sequence[Hashable], options: IntervalOptions, family: int = 1
) -> Estimate:
    """Mean of the values with interval and p-value. The order of values does not matter.

    Args:
        values: one per video or pair of videos, at least one.
        clusters: cluster of each value, such as its prompt; a cluster flips as a whole.
        options: level, plus draws and seed for when there are too many flips to try all.
        family: number of p-values corrected together; more of them need more draws.

    Raises:
        ConfigError: too many comparisons for this level.
    """
    return estimate_ratio(values, [1.0] * len(values), clusters, options, family)


def estimate_ratio(
    above: Sequence[float], below: Sequence[float], clusters: Sequence[Hashable], options: IntervalOptions,
    family: int = 1,
) -> Estimate:  # fmt: skip
    """As `estimate_mean`, of a ratio of two sums: its interval contains every r that the test of "above - r * below has
    the mean 0" does not reject, so its ends are ratios of subsets of the prompts.

    Args:
        above, below: numerator and denominator of each video; the denominators' sum must be positive. No interval if a
            prompt's denominators are not positive in sum: its share of the ratio has no sign then.
    """
    assert len(above) == len(below) == len(clusters) > 0
    members: dict[Hashable, list[tuple[float, float]]] = {}
    for name, *pair in zip(clusters, above, below, strict=True):
        members.setdefault(name, []).append((pair[0], pair[1]))
    totals = sorted((math.fsum(x for x, _ in one), math.fsum(y for _, y in one)) for one in members.values())
    mean = math.fsum(above) / math.fsum(below)
    n = len(totals)
    if n < MIN_CLUSTERS or min(many for _, many in totals) <= 0:
        return Estimate(mean, None, None, None, n)
    sums, counts = np.array([total for total, _ in totals]), np.array([many for _, many in totals])
    means = _subset_means(sums, counts, draws_for(options, family) if n > EXACT_CLUSTERS else 0, options.seed)
    n_flips = 1 + means.shape[1]
    rank = math.floor((1 - options.level) * n_flips + 1e-9)
    if rank < 1:
        return Estimate(mean, None, None, None, n)
    slack = _ROUNDING * max(abs(total) / many for total, many in totals)
    extreme = means >= -slack if mean < 0 else means <= slack  # a subset's mean on the other side of 0
    p = 1.0 if abs(mean) <= slack else (1 + int(np.count_nonzero(extreme | np.isnan(means)))) / n_flips
    low, high = (float(np.partition(_pool(means, end), rank - 1)[rank - 1]) for end in (1, -1))
    return Estimate(mean, min(low, mean), max(-high, mean), p, n)


def draws_for(options: IntervalOptions, family: int) -> int:
    """Flips to draw so that a difference in every prompt is significant after correction for `family` comparisons.

    Raises:
        ConfigError: more than MAX_DRAWS would be required.
    """
    least = math.ceil(family / (1 - options.level) - 1e-6)
    if least > MAX_DRAWS:
        raise ConfigError(
            f"{family} comparisons at level {options.level:g} need {least:,} draws; the maximum is {MAX_DRAWS:,}; "
            "compare fewer systems or metrics, or lower intervals.level"
        )
    return max(options.draws, min(MAX_DRAWS, SPARE_DRAWS * least))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-corrected p-values: a false alarm anywhere in the family is at most as likely as with a single test.

    Source: Holm (Scandinavian Journal of Statistics, 1979).
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def _subset_means(sums: np.ndarray, counts: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Means over the flipped prompts (row 0) and over the others (row 1), one column per flip; NaN = no prompts.

    Relative to a value below the data's mean, a flip is as extreme as the data if one of its means is at or below it.
    """
    found = []
    for flipped in _flips(len(sums), draws, seed):
        total, many = (np.einsum("fn,n->f", flipped, one) for one in (sums, counts))
        both, sizes = np.stack([total, sums.sum() - total]), np.stack([many, counts.sum() - many])
        found.append(np.divide(both, sizes, out=np.full_like(both, np.nan), where=sizes > 0))
    return np.concatenate(found, axis=1)


def _flips(n: int, draws: int, seed: int) -> Iterable[np.ndarray]:
    """Which prompts flip, 0 or 1, (flips, n) in chunks: all but "none", up to a global sign; or random draws."""
    every = 2 ** (n - 1) - 1
    count = every if n <= EXACT_CLUSTERS else min(draws, every)
    return _reuse_flips(n, count, seed) if count * n <= _AT_ONCE else _generate_flips(n, count, seed)


@lru_cache(maxsize=4)
def _reuse_flips(n: int, count: int, seed: int) -> tuple[np.ndarray, ...]:
    """Flips, cached: metrics and systems in a table mostly have the same number of prompts."""
    return tuple(_generate_flips(n, count, seed))


def _generate_flips(n: int, count: int, seed: int) -> Iterator[np.ndarray]:
    step = max(1, _AT_ONCE // n)
    draw = np.random.default_rng(seed)
    for start in range(0, count, step):
        many = min(step, count - start)
        if count == 2 ** (n - 1) - 1:
            yield ((np.arange(start + 1, start + many + 1)[:, None] >> np.arange(n)) & 1).astype(np.float64)
        else:
            yield draw.integers(0, 2, (many, n)).astype(np.float64)


def _pool(means: np.ndarray, end: int) -> np.ndarray:
    """All subset means, times `end`; a subset without prompts counts as infinite."""
    return np.where(np.isnan(means), -np.inf, end * means).ravel()
