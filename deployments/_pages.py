"""Whole answers of a Prefect server, which gives at most a page of objects at a time."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
PAGE = 200
"""Objects per request: the most that a server gives with its own default settings."""


def read_all(read: Callable[..., list[T]], **chosen: Any) -> list[T]:
    """All objects that a reading method of Prefect's client finds.

    Args:
        read: such as `client.read_flow_runs`; takes `limit` and `offset`.
        chosen: its other arguments.
    """
    found: list[T] = []
    while True:
        page = read(**chosen, limit=PAGE, offset=len(found))
        found += page
        if len(page) < PAGE:
            return found
