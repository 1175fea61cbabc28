"""Distances between two sets of feature vectors. Shape letters: N, M vectors in a set, D their dimension."""

import numpy as np


def frechet_distance(one_ND: np.ndarray, other_MD: np.ndarray) -> float:
    """|mean - mean'|^2 + Tr(S + S' - 2 (S S')^(1/2)) of Gaussians fitted to two sets.

    The root's trace is the sum of the singular values of A A'^T, where S = A^T A: exact even with fewer vectors than
    dimensions, where the root itself is ill-conditioned. A set of more vectors than dimensions is first reduced to the
    triangle of its QR decomposition, which has the same S, so that the work grows with D and not with N.

    Args:
        one_ND, other_MD: at least two vectors each.

    Raises:
        ValueError: fewer vectors.

    Source: Heusel et al. 2017 (arXiv:1706.08500), eq. 6; Unterthiner et al. 2018 (arXiv:1812.01717) for videos.
    """
    if min(len(one_ND), len(other_MD)) < 2:
        raise ValueError(f"{len(one_ND)} and {len(other_MD)} vectors; at least 2 each required")
    one, other = one_ND.astype(np.float64), other_MD.astype(np.float64)
    first, second = ((x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (one, other))
    shift = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    root = np.linalg.svd(_triangle(first) @ _triangle(second).T, compute_uv=False).sum()
    return max(0.0, float(shift + np.square(first).sum() + np.square(second).sum() - 2 * root))


def _triangle(centered_ND: np.ndarray) -> np.ndarray:
    """R with R^T R = A^T A; a set of at most D vectors as it is."""
    n, d = centered_ND.shape
    return np.asarray(np.linalg.qr(centered_ND, mode="r")) if n > d else centered_ND


def polynomial_mmd(one_ND: np.ndarray, other_MD: np.ndarray) -> float:
    """100 times the squared maximum mean discrepancy with the kernel (x y / D)^2, over all pairs.

    Source: JEDi, Luo et al. 2024 (arXiv:2410.05203), with degree, scale and pairs from its code.
    """
    one, other = one_ND.astype(np.float64), other_MD.astype(np.float64)

    def mean_kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.square(x @ y.T / x.shape[1]).mean())

    return 100 * max(0.0, mean_kernel(one, one) + mean_kernel(other, other) - 2 * mean_kernel(one, other))
