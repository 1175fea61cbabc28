"""Writes a checkpoint every so many steps and at the end; also when a stop is requested."""

import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mvideo_core.base.errors import StoreError, TrainError
from mvideo_core.base.options import Options
from mvideo_core.training.callbacks.base import Callback, is_due
from mvideo_core.training.checkpoint import State, folder_of, list_complete, save, set_aside
from mvideo_core.training.diagnosis import first_not_finite

if TYPE_CHECKING:
    from mvideo_core.training.loop import Trainer

log = logging.getLogger(__name__)


class CheckpointOptions(Options):
    """When checkpoints are written and how many are kept."""

    every: int = Field(default=500, ge=0, description="steps between checkpoints; 0: only at the end")
    keep: int = Field(default=3, ge=0, description="newest checkpoints to keep; 0 keeps all")


class Checkpoints(Callback):
    """Last in the list, so that a checkpoint includes everything from its step.

    Args:
        folder: `checkpoints/` of the run.
        state: contents of every state.json of this run, apart from the step.
        n_bytes: size of one checkpoint.
        export: writes the adapter folders of a step below a given folder.
        say: called with the size, before the first step.
    """

    def __init__(
        self,
        folder: Path,
        options: CheckpointOptions,
        state: State,
        global_batch: int,
        n_bytes: int,
        export: Callable[[Path, int], None],
        say: Callable[[str], None],
    ):
        self.folder, self.options, self.state, self.say = folder, options, state, say
        self.global_batch, self.n_bytes, self.export = global_batch, n_bytes, export
        self._saved = -1

    def on_start(self, trainer: "Trainer") -> None:
        """Treat the step that the run resumes at as saved; say the size of a checkpoint."""
        self._saved = trainer.step if trainer.step else -1
        size = f"{self.n_bytes / 1e9:.2f} GB" if self.n_bytes >= 1e8 else f"{self.n_bytes / 1e6:.2f} MB"
        kept = f"the newest {self.options.keep}" if self.options.keep else "all"
        self.say(f"a checkpoint of this run takes {size}; kept: {kept}")

    def on_step(self, trainer: "Trainer", metrics: dict[str, Any]) -> None:
        """Save if a checkpoint is due or the run stops here."""
        if is_due(trainer.step, self.options.every) or trainer.stopped:
            self._save(trainer)

    def on_end(self, trainer: "Trainer") -> None:
        """Save the last step unless it is saved already."""
        if trainer.step != self._saved:
            self._save(trainer)

    def on_not_finite(self, trainer: "Trainer", weights_suspected: bool) -> str:
        """Set aside the checkpoints that have exactly these weights if the weights are the reason."""
        text = ""
        if trainer.world.first:
            unchanged = range(trainer.step - trainer.skipped_in_a_row + 1, trainer.step + 1)
            names = [folder_of(self.folder, step).name for step in unchanged if weights_suspected]
            for bad in [folder for folder in list_complete(self.folder) if folder.name in names]:
                text += f"{bad.name} has these weights and was set aside as {set_aside(bad).name}; "
            done = list_complete(self.folder)
            text += f"the run will resume from {done[-1].name if done else 'step 0'}"
        return str(trainer.world.gather(text)[0])

    def _save(self, trainer: "Trainer") -> None:
        """The first rank writes; the others wait, and stop with it if it fails.

        Raises:
            TrainError: weights or Adam's moments are not finite; nothing is written.
        """
        self._check_finite(trainer)
        problem = ""
        if trainer.world.first:
            state = self.state.model_copy(update={"samples_seen": trainer.step * self.global_batch})
            try:
                log.info("checkpoint: %s", save(self.folder, trainer, state, self.export, self.options.keep))
            except StoreError as error:
                problem = str(error)
        if problem := trainer.world.gather(problem)[0]:
            raise StoreError(problem)
        self._saved = trainer.step

    def _check_finite(self, trainer: "Trainer") -> None:
        """Weights are the same on all ranks, so all of them stop here."""
        moments = (
            (f"{key} of {name}", value)
            for name, parameter in trainer.parameters.items()
            for key, value in trainer.optimizer.state.get(parameter, {}).items()
        )
        bad = first_not_finite(itertools.chain(trainer.parameters.items(), moments))
        if bad:
            text = self.on_not_finite(trainer, weights_suspected=False)
            raise TrainError(
                f"step {trainer.step}: {bad} is not finite, so no checkpoint is written; lower the learning rate with "
                f"`--set optimizer.rate.peak=... --allow optimizer.rate.peak`; {text}"
            )
