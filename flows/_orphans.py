"""Ends a run whose worker is gone: nothing would monitor the run, and it would hold the GPU.

Prefect 3.9.1 leaves such an engine alone.
"""

import os
import select
import signal
import sys
import threading
import time

POLL_S = 1.0
ENGINE = "PREFECT__FLOW_RUN_ID"
"""Set in the process that a worker starts for a run."""


def in_engine() -> bool:
    """Whether this process executes a run, started by a worker."""
    return ENGINE in os.environ and any(word.startswith("prefect") for word in sys.orig_argv[1:])


def end_with_the_worker() -> None:
    """In an engine process: send SIGTERM to this process, which ends the run, once its worker is gone."""
    if in_engine():
        threading.Thread(target=_watch, args=(os.getppid(),), name="worker-watch", daemon=True).start()


def _watch(worker: int) -> None:
    while not is_gone(worker):
        time.sleep(POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)


def is_gone(worker: int) -> bool:
    """Whether the worker, this process's original parent, is gone."""
    return os.getppid() != worker or has_no_reader(1)


def has_no_reader(fd: int) -> bool:
    """Whether a file descriptor is a pipe without a reader: its worker died before we knew it."""
    poll = select.poll()
    poll.register(fd, 0)  # errors are reported whatever the mask
    return any(events & select.POLLERR for _, events in poll.poll(0))
