"""A Prefect server's version and clock, over HTTP."""

import email.utils
import time
from typing import NamedTuple

import httpx

from mvideo_core.base.errors import StoreError

WAIT_S = 5.0
OLDEST = (3, 8)
"""Oldest server tested: server 3.8.8 with our client 3.9.1, and client 3.8.8 with our server."""


class Server(NamedTuple):
    """Facts about a running server; `skew_s` is its clock minus ours."""

    url: str
    version: str
    skew_s: float

    @property
    def works_with_us(self) -> bool:
        """Whether it is Prefect 3 and no older than the oldest tested version."""
        return parse_minor(self.version)[:1] == OLDEST[:1] and parse_minor(self.version) >= OLDEST


def ask(url: str) -> Server | None:
    """Version and clock of the server at an API address; None if it does not respond."""
    try:
        before_s = time.time()
        answer = httpx.get(f"{url}/admin/version", timeout=WAIT_S)
        after_s = time.time()
        answer.raise_for_status()
        server_s = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp() + 0.5  # whole seconds
        return Server(url, str(answer.json()), server_s - (before_s + after_s) / 2)
    except (httpx.HTTPError, KeyError, ValueError):
        return None


def require_version(url: str) -> None:
    """Reject a server whose version does not work with ours; one that does not report its version passes.

    Raises:
        StoreError: names its version and the versions that work.
    """
    server = ask(url)
    if server is not None and not server.works_with_us:
        raise StoreError(f"the server at {url} is Prefect {server.version}; {describe_supported()}")


def describe_supported() -> str:
    """The versions that work, for messages."""
    major, least = OLDEST
    return f"{major}.{least} or a newer {major} is needed, ideally the version installed here"


def parse_minor(version: str) -> tuple[int, ...]:
    """ "3.9.1" is (3, 9); () if it is not a version."""
    words = version.split(".")[:2]
    return tuple(int(word) for word in words) if all(word.isdigit() for word in words) else ()
