"""The hooks of a callback, and when each fires. All hooks run on all ranks, in the order of the callback list."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from mvideo_core.training.loop import Trainer


class Callback:
    """Does nothing; override what is needed."""

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

    def load(self, checkpoint: "Path") -> None:
        """State from a checkpoint's folder; called after the weights were loaded and before `on_start`."""


def due(step: int, every: int) -> bool:
    """Whether something done every so many steps is done after this step; `every` 0: never."""
    return every > 0 and step % every == 0
