"""Checks of `mvideo doctor` about Prefect: its versions, its port, and the clock compared with the server's."""

import importlib.metadata
import os
from collections.abc import Iterator

from mvideo.deployments._environment import default_environment, load_environment
from mvideo.deployments._ports import is_free
from mvideo.deployments._server import ask, describe_supported, parse_minor
from mvideo.deployments._state import find_api_url
from mvideo_core.doctor import CheckContext, Finding, check

CLOCK_S = 5.0
"""Clock difference that deserves a warning; heartbeats come every 30 s."""


@check("prefect", "server")
def versions(context: CheckContext) -> Iterator[Finding]:
    """Server and client have the same minor version, or at least versions that were tested together."""
    try:
        client = importlib.metadata.version("prefect")
    except importlib.metadata.PackageNotFoundError:
        yield Finding(status="problem", what="prefect is not installed", next_step="run `make setup`")
        return
    url = _url()
    if url is None:
        yield Finding(status="unknown", what=f"Prefect {client}; no server is running to compare it with")
        return
    server = ask(url)
    if server is None:
        step = "check `mvideo server status` and its logs, or unset PREFECT_API_URL"
        yield Finding(status="problem", what=f"Prefect {client}; the server at {url} does not respond", next_step=step)
    elif not server.works_with_us:
        what = f"client Prefect {client}, server {server.version} at {url}: {describe_supported()}"
        yield Finding(status="problem", what=what, next_step="install one there, then restart the server")
    elif parse_minor(server.version) != parse_minor(client):
        step = "install the same version on both sides at the next opportunity"
        what = f"client Prefect {client}, server {server.version} at {url}: they work together, but are tested less"
        yield Finding(status="warning", what=what, next_step=step)
    else:
        yield Finding(what=f"Prefect {client}, server {server.version} at {url}")


@check("port", "server")
def port(context: CheckContext) -> Iterator[Finding]:
    """Whether the environment's server can listen on its port."""
    if find_api_url():
        return
    environment = load_environment(default_environment())
    if environment.server and not is_free(environment.port):
        step = "stop the program that listens there, or set `mvideo server up --port`; otherwise a free port is used"
        what = f"port {environment.port} of the Prefect server is taken by another program"
        yield Finding(status="warning", what=what, next_step=step)
    elif environment.server:
        yield Finding(what=f"port {environment.port} is free for the Prefect server")


@check("clock of the server", "server")
def clock(context: CheckContext) -> Iterator[Finding]:
    """Our clock compared with the Date header of the server's responses."""
    url = _url()
    server = ask(url) if url else None
    if server is None:
        yield Finding(status="unknown", what="no Prefect server responds, so the clock cannot be compared")
    elif abs(server.skew_s) > CLOCK_S:
        step = "set the time on both machines (`timedatectl set-ntp true`): healthy runs would be marked Crashed"
        what = f"the clock of the server at {server.url} differs by {server.skew_s:+.0f} s"
        yield Finding(status="problem" if abs(server.skew_s) > 60 else "warning", what=what, next_step=step)
    else:
        yield Finding(what=f"the clock differs by {server.skew_s:+.0f} s from the server's")


def _url() -> str | None:
    return find_api_url() or os.environ.get("PREFECT_API_URL")
