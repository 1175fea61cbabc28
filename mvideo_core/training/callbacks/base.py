"""The hooks of a callback, and when each fires. All hooks run on all ranks, in the order of the callback list."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from mvideo_core.training.loop import Trainer


class Callback:
    """Does nothing; override what you need."""

    def on_start(self, trainer: "Trainer") -> None:
        """Called once before the first step, after a checkpoint is loaded; `trainer.step` steps are done."""

    def on_step(self, trainer: "Trainer", metrics: dict[str, Any]) -> None:
        """Called after every optimizer step, already in `trainer.step`; later callbacks see additions to `metrics`."""

    def on_end(self, trainer: "Trainer") -> None:
        """Called once after the last step, also if a stop was requested; not after an error."""

    def on_not_finite(self, trainer: "Trainer", weights_suspected: bool) -> str:
        """Called once if the run ends because a step is not finite; the returned text is added to the message.

        Args:
            weights_suspected: the current weights are the reason, not one sample.
        """
        return ""

    def close(self, failed: bool) -> None:
        """Called once at the very end, after `on_end` (failed = False) or an error."""

    def load(self, checkpoint: "Path") -> None:
        """Restore state from a checkpoint's folder; called after the weights are loaded and before `on_start`."""


def is_due(step: int, every: int) -> bool:
    """Whether an action due every `every` steps is due after this step; `every` 0: never."""
    return every > 0 and step % every == 0
