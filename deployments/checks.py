"""Checks of `mvideo doctor` that concern Prefect: its versions, its port, and the clock against the server's."""

import email.utils
import importlib.metadata
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

import httpx

from mvideo.deployments._environment import default_environment, load_environment
from mvideo.deployments._ports import is_free
from mvideo.deployments._state import running_api_url
from mvideo_core.doctor import Asked, Finding, check

WAIT_S = 5.0
CLOCK_S = 5.0
"""Difference of clocks that is worth a warning; heartbeats come every 30 s."""


class Server(NamedTuple):
    """What a running server says of itself; `skew_s` is its clock minus ours."""

    url: str
    version: str
    skew_s: float


@check("prefect", "server")
def versions(asked: Asked) -> Iterator[Finding]:
    """Client and server have to be of one minor version."""
    try:
        client = importlib.metadata.version("prefect")
    except importlib.metadata.PackageNotFoundError:
        yield Finding(status="problem", what="prefect is not installed", next_step="run `make setup`")
        return
    url = _url()
    if url is None:
        yield Finding(status="unknown", what=f"Prefect {client}; no server runs to compare it with")
        return
    server = ask(url)
    if server is None:
        step = "look at `mvideo server status` and its logs, or unset PREFECT_API_URL"
        yield Finding(status="problem", what=f"Prefect {client}; the server at {url} does not answer", next_step=step)
    elif _minor(server.version) != _minor(client):
        step = "install the same version on both sides, then `mvideo server down` and `up`"
        what = f"client Prefect {client}, server {server.version} at {url}: other minor versions do not work together"
        yield Finding(status="problem", what=what, next_step=step)
    else:
        yield Finding(what=f"Prefect {client}, server {server.version} at {url}")


@check("port", "server")
def port(asked: Asked) -> Iterator[Finding]:
    """Whether the server of the environment can listen where it is looked for."""
    if running_api_url():
        return
    environment = load_environment(default_environment())
    if environment.server and not is_free(environment.port):
        step = "stop what listens there, or give `mvideo server up --port`; a free port is taken otherwise"
        what = f"port {environment.port} of the Prefect server is taken by another program"
        yield Finding(status="warning", what=what, next_step=step)
    elif environment.server:
        yield Finding(what=f"port {environment.port} is free for the Prefect server")


@check("clock of the server", "server")
def clock(asked: Asked) -> Iterator[Finding]:
    """Our clock against the Date that the server's answers carry."""
    url = _url()
    server = ask(url) if url else None
    if server is None:
        yield Finding(status="unknown", what="no Prefect server answers, so the clock is compared with nothing")
    elif abs(server.skew_s) > CLOCK_S:
        step = "set the time on both machines (`timedatectl set-ntp true`): healthy runs would be marked Crashed"
        what = f"the clock of the server at {server.url} differs by {server.skew_s:+.0f} s"
        yield Finding(status="problem" if abs(server.skew_s) > 60 else "warning", what=what, next_step=step)
    else:
        yield Finding(what=f"the clock differs by {server.skew_s:+.0f} s from the server's")


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


def _url() -> str | None:
    return running_api_url() or os.environ.get("PREFECT_API_URL")


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])
