"""Denoising steps in the log: how many are done, their pace, the time left."""

import logging
import time

log = logging.getLogger(__name__)
EVERY_S = 15.0


class StepLog:
    """Logs the finished steps every EVERY_S.

    Args:
        n_steps: all steps, including those of an earlier run.
        n_done: steps finished by an earlier run.
    """

    def __init__(self, n_steps: int, n_done: int = 0):
        self.n_steps, self.first = n_steps, n_done
        self.started_s = self.logged_s = time.monotonic()

    def note(self, done: int, words: str) -> None:
        """`done` of all steps are finished, in words "step 3 of 50"."""
        now_s = time.monotonic()
        if now_s - self.logged_s < EVERY_S:
            return
        self.logged_s, step_s = now_s, (now_s - self.started_s) / max(done - self.first, 1)
        log.info("%s, %.1f s per step, about %.0f s left", words, step_s, step_s * (self.n_steps - done))
