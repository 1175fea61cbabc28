"""Live words about the item in progress, such as "a clip: masks of 40 of 97 frames", for whoever shows progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Inside the block, `listener` receives what this thread's work tells."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(words: str) -> None:
    """Give words to the listener, if there is one."""
    if (listener := _listener.get()) is not None:
        listener(words)
