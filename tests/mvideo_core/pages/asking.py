"""Requests to the loopback servers of the pages."""

import json
import urllib.error
import urllib.request
from typing import Any

from mvideo_core.pages.loopback import LoopbackServer


def ask(server: LoopbackServer, path: str, body: dict[str, Any] | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and content of an answer, also of a refusal."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.origin + path, content, headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
