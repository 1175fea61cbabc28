"""Boosted decision trees for a target in [0, 1], and the limits above which enough of it is high.

Trees: gradient boosting of the cross-entropy with second-order steps (Chen & Guestrin 2016) on binned features; whole
groups are left out of each tree, because the masks of one masklet are alike.
Limits: conformal risk control (Angelopoulos et al. 2022) with a clip as the unit.

Letters: M masks, F features, B bins.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

N_BINS = 48
STEPS = 101
UNREACHED = 3e38
"""Limit of a node that sends everything to the left."""
NEVER = 1.01
"""A limit that nothing reaches."""
WRONG_IOU = 0.5
"""A mask with less is wrong; trust should rank it below the others."""


class TreeOptions(NamedTuple):
    """How to grow.

    Attributes:
        trees, depth: number and depth.
        rate: share of each step that is taken.
        ridge, least: penalty on leaf values, and minimum curvature (about a quarter of the masks) of a leaf.
        groups, features: share that each tree sees.
    """

    trees: int = 60
    depth: int = 3
    rate: float = 0.1
    ridge: float = 20.0
    least: float = 20.0
    groups: float = 0.6
    features: float = 0.5
    seed: int = 0


class Trees(NamedTuple):
    """Complete trees, as in `TrustModel`."""

    columns: list[list[int]]
    limits: list[list[float]]
    values: list[list[float]]


def grow(features: np.ndarray, target: np.ndarray, groups: np.ndarray, options: TreeOptions) -> Trees:
    """Fit trees.

    Args:
        features: float32 (M, F); NaN = unknown, counts as lower than any.
        target: (M,) in [0, 1].
        groups: (M,) int.
    """
    rng = np.random.default_rng(options.seed)
    edges, bins = _bin(features)
    total = np.zeros(len(target))
    found = Trees([], [], [])
    members = np.unique(groups)
    for _ in range(options.trees):
        chosen = np.isin(groups, rng.choice(members, max(1, round(options.groups * len(members))), replace=False))
        columns = rng.permutation(len(edges))[: max(1, round(options.features * len(edges)))]
        share = 1 / (1 + np.exp(-total))
        tree = _grow_one(bins, target - share, share * (1 - share), chosen, np.sort(columns), options)
        column, split, value = tree
        total += value[_leaves(bins, column, split)]
        found.columns.append(column.tolist())
        found.limits.append(
            [float(edges[c][s]) if s < len(edges[c]) else UNREACHED for c, s in zip(column, split, strict=True)]
        )
        found.values.append([round(float(one), 6) for one in value])
    return found


def _bin(features: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Edges of every feature, and the bin of every value: the number of edges below it; unknown ones are in bin 0."""
    edges, bins = [], np.zeros(features.shape, np.int64)
    for f in range(features.shape[1]):
        known = features[:, f][~np.isnan(features[:, f])]
        cuts = np.unique(np.quantile(known, np.linspace(0, 1, N_BINS)[:-1])) if len(known) else np.zeros(0)
        cuts = cuts.astype(np.float32)
        if len(known) < len(features):  # the first edge separates unknown from known
            cuts = np.unique(np.concatenate([[np.float32(-3e38)], cuts])).astype(np.float32)
        bins[:, f] = np.searchsorted(cuts, np.nan_to_num(features[:, f], nan=-np.inf), side="left")
        edges.append(cuts)
    return edges, bins


def _grow_one(
    bins: np.ndarray, gradient: np.ndarray, curvature: np.ndarray, chosen: np.ndarray, columns: np.ndarray,
    options: TreeOptions,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """One tree: column and bin of each inner node (a bin above it goes right), value of each leaf."""
    n_inner = 2**options.depth - 1
    column, split = np.zeros(n_inner, np.int64), np.full(n_inner, 1 << 30)
    rows = np.flatnonzero(chosen)
    here, g, h = bins[rows], gradient[rows], curvature[rows]
    node = np.zeros(len(rows), np.int64)
    for level in range(options.depth):
        first, n_nodes = 2**level - 1, 2**level
        best = np.zeros(n_nodes)
        for c in columns:
            code = (node - first) * (N_BINS + 1) + here[:, c]
            size = n_nodes * (N_BINS + 1)
            below_g, below_h = (np.bincount(code, one, size).reshape(n_nodes, -1).cumsum(axis=1) for one in (g, h))
            gain = _gain(below_g, below_h, options)
            at = gain.argmax(axis=1)
            top = gain[np.arange(n_nodes), at]
            better = top > best + 1e-9
            best[better] = top[better]
            column[first : first + n_nodes][better], split[first : first + n_nodes][better] = c, at[better]
        node = 2 * node + 1 + (here[np.arange(len(rows)), column[node]] > split[node])
    leaf = node - n_inner
    sums_g, sums_h = (np.bincount(leaf, one, n_inner + 1) for one in (g, h))
    return column, split, options.rate * sums_g / (sums_h + options.ridge)


def _gain(g: np.ndarray, h: np.ndarray, options: TreeOptions) -> np.ndarray:
    """Gain of a split after each bin, from cumulative sums (nodes, B)."""
    right_g, right_h = g[:, -1:] - g, h[:, -1:] - h
    gain = g**2 / (h + options.ridge) + right_g**2 / (right_h + options.ridge)
    gain -= g[:, -1:] ** 2 / (h[:, -1:] + options.ridge)
    return np.where((h < options.least) | (right_h < options.least), 0.0, gain)


def _leaves(bins: np.ndarray, column: np.ndarray, split: np.ndarray) -> np.ndarray:
    node, every = np.zeros(len(bins), np.int64), np.arange(len(bins))
    while len(node) and node[0] < len(column):
        node = 2 * node + 1 + (bins[every, column[node]] > split[node])
    leaves: np.ndarray = node - len(column)
    return leaves


def fit_scale(total: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Slope and offset of log-odds whose cross-entropy with the target is least (Platt), by Newton's method."""
    both = np.stack([total, np.ones_like(total)], axis=1)
    weights = np.array([1.0, 0.0])
    for _ in range(50):
        share = 1 / (1 + np.exp(-both @ weights))
        hessian = both.T @ (both * (share * (1 - share))[:, None]) + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, both.T @ (target - share))
        weights += step
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


def auroc(score: np.ndarray, wrong: np.ndarray) -> float:
    """Chance that a wrong mask has a lower score than a right one; ties count half."""
    ordered, place = np.unique(score, return_inverse=True)
    bad, good = (np.bincount(place, weights=chosen, minlength=len(ordered)) for chosen in (wrong, ~wrong))
    above = good.sum() - np.cumsum(good)
    pairs = bad.sum() * good.sum()
    return float((bad * (above + good / 2)).sum() / pairs) if pairs else float("nan")


def find_limit(trust: Sequence[np.ndarray], right: Sequence[np.ndarray], share: float) -> float:
    """The lowest limit on trust, in hundredths, above which this share of the masks is right; `NEVER` if there is none.

    The loss of a clip is the mean over its masks of (kept and wrong) - (1 - share) * kept: at most 0 on average if the
    promise holds. The sum over calibration clips must be so low that a further clip with the largest loss, `share`,
    does not break it.

    Args:
        trust: of each calibration clip, one value per mask.
        right: bool, whether its IoU is high enough.
    """
    steps = np.arange(STEPS) / (STEPS - 1)
    total = np.zeros(STEPS)
    for values, good in zip(trust, right, strict=True):
        if len(values):
            kept = values[:, None] >= steps
            total += ((kept & ~good[:, None]) - (1 - share) * kept).mean(axis=0)
    best = int(total.argmin())
    if total[best] > -share:
        return NEVER
    while best > 0 and total[best - 1] <= -share:
        best -= 1
    return float(steps[best])
