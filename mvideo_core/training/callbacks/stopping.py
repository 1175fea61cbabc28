"""Asked to stop: by SIGTERM or SIGINT to this process, or by the file `stop` in the run folder.

The request travels with the next step's gradients, so all ranks stop after the same step and save it.
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
    """SIGTERM and SIGINT ask the trainer to stop inside; nothing changes outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: Any) -> None:
        log.warning("%s: stopping after this step", signal.Signals(number).name)
        trainer.stop_asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stopping(Callback):
    """First in the list: it looks for the file.

    Args:
        run: run folder; its first rank looks for the file after every step.
    """

    def __init__(self, run: Path):
        self.run = run

    def on_step(self, trainer: "Trainer", metrics: dict[str, Any]) -> None:
        """Looks for the file."""
        if trainer.world.first and (self.run / STOP).exists():
            trainer.stop_asked = True

    def on_end(self, trainer: "Trainer") -> None:
        """The request is answered."""
        if trainer.world.first:
            (self.run / STOP).unlink(missing_ok=True)
