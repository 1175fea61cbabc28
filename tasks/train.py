"""Training task: starts torchrun children and shows their metrics. A Prefect process never joins a process group."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from mvideo.tasks._bar import ProgressBar
from mvideo.tasks._decorators import gpu_task
from mvideo_core.base.durations import duration
from mvideo_core.training.callbacks.metrics import loss_words
from mvideo_core.training.launch import launch
from mvideo_core.training.options import TrainOptions
from mvideo_core.training.report import RunReport

log = logging.getLogger(__name__)

SHOW_EVERY_S = 5.0


@gpu_task
def train(options: TrainOptions) -> RunReport:
    """Train to the last step; a run folder with a checkpoint resumes from it.

    Raises:
        ConfigError, ModelError, StoreError, TrainError: raised by the training process, with its message.
    """
    board = TrainingBoard()
    return launch(options, on_metrics=board, on_phase=board.phase)


class TrainingBoard:
    """A progress bar "train-progress" with phase, then step, loss and speed; updated every few seconds at most."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self.now, self.shown_at = now, -SHOW_EVERY_S
        self.bar = ProgressBar("train")
        self.first: tuple[float, int] | None = None
        self._lock = threading.Lock()

    def __call__(self, line: dict[str, Any]) -> None:
        """Process one line of metrics.jsonl."""
        with self._lock:
            now, step, steps = self.now(), int(line["step"]), int(line["steps"])
            self.first = self.first or (now, step)
            if now - self.shown_at < SHOW_EVERY_S and step < steps:
                return
            self.shown_at = now
            text = self.words(line, now)
            log.info("training: %s", text)
            self.bar.show(100 * step / steps, text)

    def phase(self, words: str) -> None:
        """Show what happens before the first line of metrics."""
        log.info("training: %s", words)
        self.bar.show(0, words)

    def words(self, line: dict[str, Any], now: float) -> str:
        """ "step 120 of 400, loss 0.1034, 1.9 s/step, about 9 min left"."""
        step, steps = int(line["step"]), int(line["steps"])
        text = f"step {step} of {steps}, {loss_words(line)}"
        assert self.first is not None
        began, first_step = self.first
        if step > first_step:
            step_s = (now - began) / (step - first_step)
            text += f", {step_s:.3g} s/step"
            text += f", about {duration(step_s * (steps - step))} left" if step < steps else ""
        return text
