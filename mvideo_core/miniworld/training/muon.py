"""Muon for the matrices of a transformer's blocks, AdamW for all other parameters, as one optimizer.

Source of the method: Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon/); update scale: Liu et al. 2025
(arXiv:2502.16982). `torch.optim.Muon` computes in bfloat16: on a CPU without AVX-512, a step of the mini base takes
6.4 s with it, and 1.5 s with this one.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration, from the source of the method."""
ITERATIONS = 5
UPDATE_RMS = 0.2
"""Root mean square of an update before the learning rate, about that of AdamW, so that both use similar rates."""


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose update is orthogonalized; for matrices only."""

    def __init__(self, matrices: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all matrices with a gradient; those of one shape together."""
        assert closure is None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape.setdefault(matrix.shape, []).append(matrix)
            for matrices in by_shape.values():
                updates = orthogonal(torch.stack([self._momentum(matrix, group["momentum"]) for matrix in matrices]))
                scale = group["lr"] * UPDATE_RMS * max(matrices[0].shape) ** 0.5
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(matrices, list(updates), alpha=-scale)

    def _momentum(self, matrix: Tensor, decay: float) -> Tensor:
        state = self.state[matrix]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(matrix)
        state["momentum"].lerp_(matrix.grad, 1 - decay)  # type: ignore[arg-type]
        return matrix.grad.lerp(state["momentum"], decay)  # type: ignore[union-attr]


class MuonWithAdamW:
    """Both optimizers behind the methods that a training loop uses; the groups of Muon come first."""

    def __init__(self, muon: Muon, adamw: torch.optim.AdamW):
        self.parts = (muon, adamw)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of both; the values can be changed in place."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """Update all parameters."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """State of both."""
        return {"muon": self.parts[0].state_dict(), "adamw": self.parts[1].state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state that `state_dict` returned."""
        self.parts[0].load_state_dict(state["muon"])
        self.parts[1].load_state_dict(state["adamw"])


def orthogonal(matrices_NRC: Tensor) -> Tensor:
    """(N, R, C): the same singular vectors; singular values 0.6 to 1.3, except those far below the largest one."""
    wide = matrices_NRC if matrices_NRC.shape[1] <= matrices_NRC.shape[2] else matrices_NRC.mT
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(ITERATIONS):
        gram = wide @ wide.mT
        wide = a * wide + (b * gram + c * (gram @ gram)) @ wide
    return wide if matrices_NRC.shape[1] <= matrices_NRC.shape[2] else wide.mT
