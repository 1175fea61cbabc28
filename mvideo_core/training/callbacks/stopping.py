"""Asked to stop: by SIGTERM or SIGINT to this process, or by the file `stop` in the run folder.

The request travels with the next step's gradients, so all ranks stop after the same step and save it.
"""

import logging
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvideo_core.training.callbacks.base import Callback

if TYPE_CHECKING:
    from mvideo_core.training.loop import Trainer

log = logging.getLogger(__name__)
STOP = "stop"


class Stopping(Callback):
    """First in the list: it only sets `trainer.stop_asked`.

    Args:
        run: run folder; its first rank looks for the file after every step.
    """

    def __init__(self, run: Path):
        self.run = run

    def on_start(self, trainer: "Trainer") -> None:
        """Takes the signals, where this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return

        def ask(number: int, _frame: Any) -> None:
            log.warning("%s: stopping after this step", signal.Signals(number).name)
            trainer.stop_asked = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, ask)

    def on_step(self, trainer: "Trainer", metrics: dict[str, Any]) -> None:
        """Looks for the file."""
        if trainer.world.first and (self.run / STOP).exists():
            trainer.stop_asked = True

    def on_end(self, trainer: "Trainer") -> None:
        """The request is answered."""
        if trainer.world.first:
            (self.run / STOP).unlink(missing_ok=True)
