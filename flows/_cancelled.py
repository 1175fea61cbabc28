"""Handles a run that finishes by itself while a cancellation is pending.

The server rejects every state of a Cancelling run except Cancelled, and only the worker proposes Cancelled, after it
has killed the run's process. A flow that was about to end then ends in Cancelling, and one that was about to start
fails with `UnfinishedRun`; with Prefect 3.9.1 the worker forgets a process that has ended, finds none to kill, and the
run stays Cancelling (300 s, until the server's own timeout, or forever on earlier servers). So such a process waits to
be killed, like any cancelled run; if no worker comes, it sets its run to Cancelled.
"""

import atexit
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from prefect.exceptions import PrefectException, UnfinishedRun
from prefect.states import Cancelled

from mvideo.flows._orphans import ENGINE, in_engine, is_gone

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

log = logging.getLogger(__name__)
KILLED_WITHIN_S = 30.0
"""The worker learns of a cancellation immediately, or at its next poll of the server (10 s)."""
POLL_S = 0.5


class _Ending(logging.Filter):
    """Reads the engine's log lines about its end, at any log level; the logger still prints what it printed before.

    Attributes:
        unfinished: the flow started or ended while its run was Cancelling.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unfinished = self.killed = False
        self.least: dict[str, int] = {}

    def listen(self, name: str) -> None:
        """Attach this filter to a logger."""
        logger = logging.getLogger(name)
        self.least[name] = logger.getEffectiveLevel()
        logger.setLevel(min(self.least[name], logging.INFO))
        logger.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Note whether a line reports an unfinished run."""
        text = record.getMessage()
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        self.killed = self.killed or text == "Flow run was cancelled."  # by the worker, which sets the state
        unfinished = isinstance(error, UnfinishedRun) or text.startswith("Finished in state Cancelling")
        self.unfinished = self.unfinished or unfinished
        return record.levelno >= self.least[record.name]


def end_as_cancelled() -> None:
    """In an engine process: do not exit while the run is Cancelling, unless the worker has killed it."""
    if in_engine():
        ending = _Ending()
        for name in ("prefect.engine", "prefect.flow_runs"):
            ending.listen(name)
        atexit.register(_end, os.environ[ENGINE], os.getppid(), ending)


def _end(flow_run_id: str, worker: int, ending: _Ending) -> None:
    if ending.killed or not ending.unfinished:
        return
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            _wait_or_cancel(client, UUID(flow_run_id), worker)
    except (httpx.HTTPError, PrefectException) as error:
        log.warning("cannot find out whether this run is cancelled: %s", error)


def _wait_or_cancel(client: "SyncPrefectClient", run_id: UUID, worker: int) -> None:
    """Wait until the run is no longer Cancelling or the worker kills this process; otherwise set it to Cancelled."""
    killed = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: killed.set())
    deadline = time.monotonic() + KILLED_WITHIN_S
    while _is_cancelling(client, run_id):
        orphaned = is_gone(worker)
        if killed.is_set() and not orphaned:
            return  # by the worker, which sets the run to Cancelled after its hooks
        if orphaned or time.monotonic() > deadline:
            message = "The run ended by itself after a cancel request, and no worker came to end it."
            client.set_flow_run_state(run_id, Cancelled(message=message), force=True)
            return
        killed.wait(POLL_S)


def _is_cancelling(client: "SyncPrefectClient", run_id: UUID) -> bool:
    state = client.read_flow_run(run_id).state
    return state is not None and state.is_cancelling()
