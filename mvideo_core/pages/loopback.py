"""A page's server for this machine only: nothing is loaded from elsewhere, and nobody else may ask.

A request needs the token of the address that the command prints. Requests that change something also come with the
token in a header, which pages of other sites cannot send, and only from this page's own origin; a `Host` of another
name is refused, so that no other name can be made to point here.
"""

import hmac
import json
import logging
import secrets
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from mvideo_core.base.errors import ConfigError, MVideoError

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
DRAIN_S = 3.0
"""How long a body that is too large is still taken in: a client that sends all of it first then reads the answer."""


class LoopbackServer(ThreadingHTTPServer):
    """Serves until `shutdown`.

    Args:
        port: 0 = any free one.

    Raises:
        ConfigError: the port is taken.
    """

    daemon_threads = True
    command: ClassVar[str]
    """The command that starts it, for messages."""

    def __init__(self, port: int, handler: "type[LoopbackHandler]"):
        self.token = secrets.token_urlsafe(16)
        try:
            super().__init__((HOST, port), handler)
        except OSError as error:
            raise ConfigError(f"--port {port}: {error.strerror}; choose another, or 0 for any free one") from None

    @property
    def origin(self) -> str:
        """The page's origin."""
        return f"http://{HOST}:{self.server_address[1]}"

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"{self.origin}/?token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with a request; a browser that closes its connection is no error."""
        if not isinstance(error := sys.exc_info()[1], ConnectionError):
            log.error("a request failed: %r", error, exc_info=error)


class LoopbackHandler(BaseHTTPRequestHandler):
    """Checks requests; a subclass answers those that are allowed."""

    server: LoopbackServer
    timeout = 60
    protocol_version = "HTTP/1.1"
    max_body_bytes: ClassVar[int]
    proof_header: ClassVar[str]

    def answer_get(self, path: str, query: dict[str, str]) -> None:
        """Answer an allowed GET."""
        raise NotImplementedError

    def answer_post(self, path: str, asked: dict[str, Any]) -> None:
        """Answer an allowed POST with a JSON object."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Check the token, then answer."""
        try:
            place = urlsplit(self.path)
        except ValueError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, f"the address {self.path[:80]!r} is not valid: {error}")
            return
        if place.path == "/favicon.ico":
            self.answer(HTTPStatus.NO_CONTENT, b"", "image/x-icon")
            return
        query = {name: values[-1] for name, values in parse_qs(place.query).items()}
        if self._check_request(query.get("token", "")):
            self.answer_get(place.path, query)

    def do_POST(self) -> None:
        """Check token and origin, then answer."""
        body = self._body()
        if body is None or not self._check_request(self.headers.get(self.proof_header, "")):
            return
        if self.headers.get("Origin", self.server.origin) != self.server.origin:
            self.refuse(HTTPStatus.FORBIDDEN, f"only the page of `{self.server.command}` may do this")
            return
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError) as error:
            self.refuse(HTTPStatus.BAD_REQUEST, f"expected a JSON object, got {body[:40]!r}: {str(error)[:120]}")
            return
        if not isinstance(asked, dict):
            self.refuse(HTTPStatus.BAD_REQUEST, f"expected a JSON object, got {body[:40]!r}")
            return
        self.answer_post(self.path, asked)

    def answer_with(self, work: Callable[[], Any]) -> None:
        """Answer with the result of some work as JSON, or with its error in one line."""
        try:
            found = json.dumps(work()).encode()
        except (MVideoError, OSError) as error:
            self.refuse(HTTPStatus.CONFLICT, " ".join(str(error).split()))
        else:
            self.answer(HTTPStatus.OK, found, "application/json")

    def _body(self) -> bytes | None:
        """The body of a request; answers and returns None if there is none, or one that is too large."""
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal():
            self.refuse(HTTPStatus.LENGTH_REQUIRED, f"Content-Length is {size[:40]!r}; expected the body's bytes")
        elif len(size) > 18 or int(size) > self.max_body_bytes:
            seen = size if len(size) <= 18 else "too many"
            most = self.max_body_bytes
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body of {seen} bytes; at most {most} are allowed")
            self._drain()
        else:
            return self.rfile.read(int(size))
        return None

    def _drain(self) -> None:
        """Take in what the client still sends."""
        end_s = time.monotonic() + DRAIN_S
        self.connection.settimeout(DRAIN_S)
        try:
            while time.monotonic() < end_s and self.rfile.read(1 << 16):
                pass
        except OSError:  # it waits for the answer, or has left
            pass

    def _check_request(self, token: str) -> bool:
        """Whether the request came to our name, with our token; answers if not."""
        port = self.server.server_address[1]
        if self.headers.get("Host") != f"{HOST}:{port}":
            self.refuse(HTTPStatus.FORBIDDEN, "not this server's name")
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self.refuse(
                HTTPStatus.FORBIDDEN, f"open the address that `{self.server.command}` printed; its token is missing"
            )
        else:
            return True
        return False

    def refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer with an error, and close the connection."""
        self.close_connection = True
        self.answer(status, json.dumps({"error": why}).encode(), "application/json")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The refusals of `http.server` itself in one line, too; an unknown method is the client's error."""
        unknown = code == HTTPStatus.NOT_IMPLEMENTED
        status = HTTPStatus.METHOD_NOT_ALLOWED if unknown else HTTPStatus(code)
        self.refuse(status, " ".join(f"{message or status.phrase}"[:120].split()))

    def answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        try:
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else content)
        except ConnectionError:  # the browser has moved on to another page
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: their addresses hold the token."""
