"""Distances of sets against closed forms and scipy's matrix root."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from mvideo_core.evaluation.set_distance import frechet_distance, polynomial_mmd


def test_two_normal_distributions_of_one_dimension() -> None:
    """(mean - mean')^2 + (spread - spread')^2, with sets whose moments are exact."""
    one = np.array([[-1.0], [1.0]])  # mean 0, variance 2
    other = 3 * one + 5  # mean 5, variance 18
    assert frechet_distance(one, other) == pytest.approx(25 + (np.sqrt(18) - np.sqrt(2)) ** 2)


@pytest.mark.parametrize("n", [200, 6])
def test_equals_the_formula_with_a_matrix_root(n: int) -> None:
    """Also with fewer vectors than the 8 dimensions, where scipy's root is only good to some digits."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(n, 8)), rng.normal(size=(n + 3, 8)) @ rng.normal(size=(8, 8)) + 1
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = sqrtm(first @ second).real
    shift = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    expected = shift + np.trace(first + second - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-9 if n > 8 else 1e-3)


def test_a_set_has_no_distance_from_itself_in_any_order() -> None:
    one = np.random.default_rng(0).normal(size=(20, 5))
    assert frechet_distance(one, one[::-1]) == pytest.approx(0, abs=1e-9)
    assert polynomial_mmd(one, one[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, one + 2) == pytest.approx(4 * 5)


def test_small_sets_of_one_distribution_look_far_apart() -> None:
    """What the warning beside the number is about: the true distance is 0, in 64 dimensions."""
    rng = np.random.default_rng(0)
    found = [frechet_distance(rng.normal(size=(n, 64)), rng.normal(size=(n, 64))) for n in (30, 300, 3000)]
    assert found[0] > 4 * found[1] > 16 * found[2] > 0
    assert found[0] > 40


def test_polynomial_kernel_by_hand() -> None:
    """x = (2, 0), y = (0, 2), D = 2: kernels 4, 4 and 0; (4 + 4 - 0) times 100."""
    assert polynomial_mmd(np.array([[2.0, 0.0]]), np.array([[0.0, 2.0]])) == pytest.approx(800)


def test_one_vector_is_too_few() -> None:
    with pytest.raises(ValueError, match="1 and 2 vectors; at least 2"):
        frechet_distance(np.zeros((1, 3)), np.zeros((2, 3)))
