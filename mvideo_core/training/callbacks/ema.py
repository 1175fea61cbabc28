"""Running mean of the trained weights, kept next to them; used by validation, samples and `adapter_ema/` when on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.training.callbacks.base import Callback
from mvideo_core.training.checkpoint import ADAPTER_EMA, weights_of

if TYPE_CHECKING:
    import torch
    from torch.nn import Parameter

    from mvideo_core.training.loop import Trainer


class EmaOptions(Options):
    """Exponential moving average of adapters and conditioning."""

    decay: float = Field(default=0.0, ge=0, lt=1, description="fraction of the mean kept each step, e.g. 0.999; 0: off")


class Ema(Callback):
    """mean <- d * mean + (1 - d) * weights after every step, d = min(decay, (1 + step) / (10 + step)).

    Args:
        parameters: the trained ones; the mean starts as a copy.
    """

    def __init__(self, parameters: "dict[str, Parameter]", options: EmaOptions):
        self.parameters, self.options = parameters, options
        self.mean: dict[str, torch.Tensor] = {name: p.detach().clone() for name, p in parameters.items()}

    def on_step(self, trainer: "Trainer", metrics: dict[str, Any]) -> None:
        """Update the mean."""
        import torch

        decay = min(self.options.decay, (1 + trainer.step) / (10 + trainer.step))
        weights = [p.detach() for p in self.parameters.values()]
        torch._foreach_lerp_(list(self.mean.values()), weights, 1 - decay)

    def load(self, checkpoint: Path) -> None:
        """Load the checkpoint's mean; without one, start from its weights."""
        saved = weights_of(checkpoint, ADAPTER_EMA) or self.parameters
        for name, value in self.mean.items():
            value.copy_(saved[name].detach())

    @contextlib.contextmanager
    def swap(self) -> Iterator[None]:
        """Inside the block the mean replaces the model's weights; afterwards its own weights are back, bit for bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in self.parameters.items():
            parameter.data, self.mean[name] = self.mean[name], parameter.data
