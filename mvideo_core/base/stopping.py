"""A stop of the work in this process, heard by its threads between two frames.

A cancel, Ctrl-C or the death of a worker raises an exception in the main thread only; the threads of a pool would work
on to the end of their parts. `pool_that_stops` passes the stop on to them, and loops over frames, items and blocks of a
file call `heed`.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")
P = TypeVar("P")

_asked = threading.Event()


class Stopped(BaseException):
    """The work in this thread ends here because a stop was asked for; never a fault of its input."""


def raise_if_stopped() -> None:
    """Raise when a stop is asked for.

    Raises:
        Stopped: it is.
    """
    if _asked.is_set():
        raise Stopped("a stop was asked for; what is journaled is kept")


def heeding(things: Iterable[T]) -> Iterator[T]:
    """The same things, with a look for a stop before each."""
    for thing in things:
        raise_if_stopped()
        yield thing


@contextmanager
def pool_that_stops(pool: AbstractContextManager[P]) -> Iterator[P]:
    """A pool of threads that end at their next frame when a stop leaves the block; an error lets them finish.

    A stop is any exception that is no `Exception`: KeyboardInterrupt, SystemExit, Prefect's TerminationSignal.
    """
    mine = False
    try:
        with pool as opened:
            try:
                yield opened
            except Exception:
                raise
            except BaseException:
                mine = not _asked.is_set()
                _asked.set()
                raise
    finally:
        if mine:  # not inside another pool that is stopping
            _asked.clear()
