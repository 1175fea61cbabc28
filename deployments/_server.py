"""What a Prefect server says of itself over HTTP: its version and its clock."""

import email.utils
import time
from typing import NamedTuple

import httpx

from mvideo_core.base.errors import StoreError

WAIT_S = 5.0
OLDEST = (3, 8)
"""Oldest server that was tried: 3.8.8 with our client of 3.9.1, and a client of 3.8.8 with our server."""


class Server(NamedTuple):
    """What a running server says of itself; `skew_s` is its clock minus ours."""

    url: str
    version: str
    skew_s: float

    @property
    def works_with_us(self) -> bool:
        """Whether it is Prefect 3, and not older than what was tried."""
        return minor(self.version)[:1] == OLDEST[:1] and minor(self.version) >= OLDEST


def ask(url: str) -> Server | None:
    """Version and clock of the server at an API address; None when it does not answer."""
    try:
        before_s = time.time()
        answer = httpx.get(f"{url}/admin/version", timeout=WAIT_S)
        after_s = time.time()
        answer.raise_for_status()
        said_s = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp() + 0.5  # whole seconds
        return Server(url, str(answer.json()), said_s - (before_s + after_s) / 2)
    except (httpx.HTTPError, KeyError, ValueError):
        return None


def require_version(url: str) -> None:
    """Refuse a server whose version does not work with ours; one that does not say its version passes.

    Raises:
        StoreError: with its version and those that work.
    """
    server = ask(url)
    if server is not None and not server.works_with_us:
        raise StoreError(f"the server at {url} is Prefect {server.version}; {supported_versions()}")


def supported_versions() -> str:
    """The versions that work, for messages."""
    major, least = OLDEST
    return f"{major}.{least} or a newer {major} is needed, best the version that is installed here"


def minor(version: str) -> tuple[int, ...]:
    """ "3.9.1" is (3, 9); () when it is no version."""
    words = version.split(".")[:2]
    return tuple(int(word) for word in words) if all(word.isdigit() for word in words) else ()
