"""Running mean of a network's weights, which the mini models' training runs export."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def move_mean(mean: "Mapping[str, Tensor]", weights: "Mapping[str, Tensor]", limit: float, count: int) -> None:
    """mean <- d * mean + (1 - d) * weights in place, d = min(limit, count / (count + 9)).

    Args:
        weights: weights by name, at least those in `mean`.
        limit: decay for high counts; before that, the mean forgets its first values faster.
        count: number of updates, including this one.
    """
    import torch

    decay = min(limit, count / (count + 9))
    with torch.no_grad():
        torch._foreach_lerp_(list(mean.values()), [weights[name] for name in mean], 1 - decay)


def copy_weights(into: "Mapping[str, Tensor]", values: "Mapping[str, Tensor]") -> None:
    """Copy the values of the same names into `into`, in place."""
    import torch

    with torch.no_grad():
        torch._foreach_copy_(list(into.values()), [values[name] for name in into])


@contextmanager
def hold(weights: "Mapping[str, Tensor]", values: "Mapping[str, Tensor]") -> Iterator[None]:
    """Context manager: `weights` have `values` inside and their exact previous values afterwards."""
    kept = {name: value.detach().clone() for name, value in weights.items()}
    copy_weights(weights, values)
    try:
        yield
    finally:
        copy_weights(weights, kept)
