"""Stop requests: SIGTERM or SIGINT to this process, or the file `stop` in the run folder.

The request is sent along with the next step's gradients, so all ranks stop after the same step and save it.
"""

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvideo_core.training.callbacks.base import Callback

if TYPE_CHECKING:
    from mvideo_core.training.loop import Trainer

log = logging.getLogger(__name__)
STOP = "stop"


@contextlib.contextmanager
def signals_ask(trainer: "Trainer") -> Iterator[None]:
    """Inside the block, SIGTERM and SIGINT request a stop of the trainer; outside the main thread this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: Any) -> None:
        log.warning("%s: stopping after this step", signal.Signals(number).name)
        trainer.stop_requested = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stopping(Callback):
    """First in the list: checks for the file.

    Args:
        run: run folder; the first rank checks for the file after every step.
    """

    def __init__(self, run: Path):
        self.run = run

    def on_step(self, trainer: "Trainer", metrics: dict[str, Any]) -> None:
        """Check for the file."""
        if trainer.world.first and (self.run / STOP).exists():
            trainer.stop_requested = True

    def on_end(self, trainer: "Trainer") -> None:
        """Remove the file: the request has been served."""
        if trainer.world.first:
            (self.run / STOP).unlink(missing_ok=True)
