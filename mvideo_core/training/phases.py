"""What a training run does before its first line of metrics: launch/phases.jsonl, one line per phase, and the log.

The launcher reads that file and shows the phase with its duration, so that loading and compiling are never silent.
"""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvideo_core.base.disk import disk_errors
from mvideo_core.training.callbacks.base import Callback, is_due

if TYPE_CHECKING:
    from mvideo_core.training.loop import Trainer

log = logging.getLogger(__name__)
Say = Callable[[str], None]
"""Called with the phase that starts, such as "loading the base mini"."""
PHASES = Path("launch") / "phases.jsonl"
STARTING = "starting the training process"
AGAIN_S = 10.0
"""A running phase is shown again after this many seconds."""


def phase_writer(run: Path, first: bool) -> Say:
    """Returns a function that writes a phase to the log and, on the first rank, to the run folder."""

    def say(words: str) -> None:
        log.info("%s", words)
        if first:
            with disk_errors(str(run)):
                (run / PHASES).parent.mkdir(parents=True, exist_ok=True)
                with (run / PHASES).open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps({"phase": words}) + "\n")

    return say


class FirstSteps(Callback):
    """Reports each step as a phase until the first step that writes metrics is done; last in the list.

    Args:
        every: steps between lines of metrics.
    """

    def __init__(self, say: Say, every: int):
        self.say, self.every = say, every
        self._saying = True

    def on_start(self, trainer: "Trainer") -> None:
        """The first step starts."""
        self._next(trainer)

    def on_step(self, trainer: "Trainer", metrics: dict[str, Any]) -> None:
        """The next step starts."""
        self._saying = self._saying and not is_due(trainer.step, self.every)
        if self._saying:
            self._next(trainer)

    def _next(self, trainer: "Trainer") -> None:
        if trainer.step < trainer.steps:
            self.say(f"step {trainer.step + 1} of {trainer.steps}")


class PhaseClock:
    """Shows the phase of a training run: when it starts, and repeatedly with its duration.

    Args:
        show: called with words such as "loading the base mini" or "loading the base mini (20 s)".
    """

    def __init__(self, show: Say, now: Callable[[], float] = time.monotonic):
        self.show, self.now = show, now
        self.phase, self.began_s, self.shown_s = "", 0.0, 0.0

    def begin(self, phase: str) -> None:
        """Start another phase; "" if steps are shown instead."""
        self.phase = phase
        self.began_s = self.shown_s = self.now()
        if phase:
            self.show(phase)

    def tick(self) -> None:
        """Call this regularly."""
        if self.phase and self.now() - self.shown_s >= AGAIN_S:
            self.shown_s = self.now()
            self.show(f"{self.phase} ({self.shown_s - self.began_s:.0f} s)")
