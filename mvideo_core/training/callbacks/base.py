"""The hooks of a callback, and when each fires. All hooks run on all ranks, in the order of the callback list."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from mvideo_core.training.loop import Trainer


class Callback:
    """Does nothing; override what is needed.

    Attributes:
        name: under which its state is kept in checkpoints; "" has no state.
    """

    name = ""

    def on_start(self, trainer: "Trainer") -> None:
        """Once before the first step, after a checkpoint was loaded; `trainer.step` steps are done."""

    def on_step(self, trainer: "Trainer", metrics: dict[str, Any]) -> None:
        """After every optimizer step, `trainer.step` counts it; later callbacks see what is put into `metrics`."""

    def on_end(self, trainer: "Trainer") -> None:
        """Once after the last step, also when the run was asked to stop; not after an error."""

    def on_not_finite(self, trainer: "Trainer", weights_suspected: bool) -> str:
        """Once when the run ends because a step is not finite; what it returns is added to the message.

        Args:
            weights_suspected: the weights as they are now are the reason, not one sample.
        """
        return ""

    def close(self, failed: bool) -> None:
        """Once in the end, after `on_end` (failed = False) or an error."""

    def tensors(self) -> "dict[str, torch.Tensor]":
        """State for a checkpoint, by name."""
        return {}

    def load_tensors(self, tensors: "dict[str, torch.Tensor]") -> None:
        """State from a checkpoint; called before `on_start`."""


def due(step: int, every: int) -> bool:
    """Whether something done every so many steps is done after this step; `every` 0: never."""
    return every > 0 and step % every == 0
