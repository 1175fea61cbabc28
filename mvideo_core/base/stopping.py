"""Stopping the work of this process: its threads end between two frames.

A cancellation, Ctrl-C or the end of a worker raises an exception in the main thread only; threads of a pool would work
to the end of their parts. `pool_that_stops` passes the stop on to them; loops over frames, items and blocks of a file
check for it with `stop_between` or `raise_if_stopped`.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")
P = TypeVar("P")

_stop_requested = threading.Event()


class Stopped(BaseException):
    """The work in this thread ends here because a stop was requested; the input is not at fault."""


def raise_if_stopped() -> None:
    """Raise if a stop was requested.

    Raises:
        Stopped: it was.
    """
    if _stop_requested.is_set():
        raise Stopped("stop requested; journaled work is kept")


def stop_between(things: Iterable[T]) -> Iterator[T]:
    """The same items, with a check for a stop before each."""
    for thing in things:
        raise_if_stopped()
        yield thing


@contextmanager
def pool_that_stops(pool: AbstractContextManager[P]) -> Iterator[P]:
    """A pool whose threads end at their next frame when a stop leaves the block; after an error they finish.

    A stop is any exception that is not an `Exception`: KeyboardInterrupt, SystemExit, Prefect's TerminationSignal.
    """
    mine = False
    try:
        with pool as opened:
            try:
                yield opened
            except Exception:
                raise
            except BaseException:
                mine = not _stop_requested.is_set()
                _stop_requested.set()
                raise
    finally:
        if mine:  # not inside another pool that is stopping
            _stop_requested.clear()
