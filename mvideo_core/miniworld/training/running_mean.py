"""The running mean of a network's weights, which is what the mini trainings ship."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def move_mean(mean: "Mapping[str, Tensor]", weights: "Mapping[str, Tensor]", limit: float, count: int) -> None:
    """mean <- d * mean + (1 - d) * weights in place, d = min(limit, count / (count + 9)).

    Args:
        weights: by name, at least those of `mean`.
        limit: decay once the count is high; until then the mean forgets its first values sooner.
        count: how many times the mean was moved, this time counted in.
    """
    import torch

    decay = min(limit, count / (count + 9))
    with torch.no_grad():
        torch._foreach_lerp_(list(mean.values()), [weights[name] for name in mean], 1 - decay)


def copy_weights(into: "Mapping[str, Tensor]", values: "Mapping[str, Tensor]") -> None:
    """Gives all of `into` the values of the same name, in place."""
    import torch

    with torch.no_grad():
        torch._foreach_copy_(list(into.values()), [values[name] for name in into])


@contextmanager
def holding(weights: "Mapping[str, Tensor]", values: "Mapping[str, Tensor]") -> Iterator[None]:
    """Inside, `weights` hold `values`; after it, bit for bit what they held before."""
    kept = {name: value.detach().clone() for name, value in weights.items()}
    copy_weights(weights, values)
    try:
        yield
    finally:
        copy_weights(weights, kept)
