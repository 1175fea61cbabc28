"""Live status of the item in progress, such as "a clip: masks of 40 of 97 frames", for whoever shows progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


@contextmanager
def on_status(listener: Callable[[str], None]) -> Iterator[None]:
    """Inside the block, `listener` receives every status that this thread's work reports."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report_status(text: str) -> None:
    """Pass a status to the listener, if there is one."""
    if (listener := _listener.get()) is not None:
        listener(text)
