"""How sure a mean is: percentile bootstrap over prompts, seeded.

Videos of one prompt (several seeds) are not independent, so whole prompts are drawn. The mean stays the mean over
videos.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from mvideo_core.evaluation.suite import BootstrapOptions

_AT_ONCE = 1 << 22
"""Drawn values held at once, about 32 MB."""


class Interval(NamedTuple):
    """A mean and its confidence interval."""

    mean: float
    low: float
    high: float


def bootstrap_mean(values: Sequence[float], clusters: Sequence[Hashable], options: BootstrapOptions) -> Interval:
    """Mean of the values and its interval.

    Args:
        values: one per video, at least one.
        clusters: what each belongs to, such as its prompt; all of a cluster are drawn together.
        options: draws, seed, level.

    With a single cluster nothing can be drawn: both ends are NaN.
    """
    assert len(values) == len(clusters) > 0
    numbers = np.asarray(values, np.float64)
    names = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    place = np.array([names[name] for name in clusters])
    sums = np.bincount(place, numbers, len(names))
    counts = np.bincount(place, minlength=len(names)).astype(np.float64)
    mean = float(numbers.mean())
    if len(names) == 1:
        return Interval(mean, float("nan"), float("nan"))
    draw = np.random.default_rng(options.seed)
    means: list[np.ndarray] = []
    step = max(1, _AT_ONCE // len(names))
    for start in range(0, options.samples, step):
        drawn = draw.integers(0, len(names), (min(step, options.samples - start), len(names)))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    tail = (1 - options.level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Interval(mean, float(low), float(high))
