"""The review page's server: this machine only, nothing is loaded from elsewhere, nobody else may decide.

A request needs the token of the address that the command prints. Decisions also come with the token in a header, which
pages of other sites cannot send, and only from this page's own origin; a `Host` of another name is refused, so that no
other name can be made to point here.
"""

import hmac
import json
import logging
import secrets
import sys
import threading
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mvideo_core.base.errors import ConfigError, MVideoError
from mvideo_core.pages.kit import page_html
from mvideo_core.pages.review.clips import ReviewClips
from mvideo_core.store.decisions import Decision, DecisionFile, LocatedDecision, check_place
from mvideo_core.store.workspace import Workspace

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
HOST = "127.0.0.1"
MAX_BODY_BYTES = 10_000
SHOWN_CLIPS = 300
"""Clips listed on the page at once; the rest follow once these are decided."""


class ReviewServer(ThreadingHTTPServer):
    """Serves one workspace until `shutdown`.

    Args:
        workspace: with masks.
        port: 0 = any free one.
        who: noted in each decision.

    Raises:
        ConfigError: there is nothing to review, or the port is taken.
    """

    daemon_threads = True

    def __init__(self, workspace: Workspace, port: int = 0, who: str = ""):
        self.workspace, self.who = workspace, who
        self.clips = ReviewClips(workspace)
        self.decisions = DecisionFile(workspace)
        self.decisions.read()
        self.token = secrets.token_urlsafe(16)
        self.lock = threading.Lock()
        try:
            super().__init__((HOST, port), _Handler)
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

    def page(self) -> str:
        """The page; it fetches its content."""
        return page_html(HERE, f"Review of {Path(self.workspace.url).name}", scripts=["page.js"])

    def listing(self) -> dict[str, Any]:
        """Everything that the page shows."""
        with self.lock:
            self.clips.refresh()
            clips = self.clips.listing(self.decisions)
        return {
            "clips": clips[:SHOWN_CLIPS], "n_clips": len(clips), "labels": self.clips.labels,
            "n_decided": sum(bool(one["decisions"]) for one in clips), "file": self.decisions.path,
        }  # fmt: skip

    def decide(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Write one decision; `{"action": "undo"}` takes the last one about the clip back.

        Raises:
            ConfigError: it is not a decision, or does not fit the clip.
        """
        with self.lock:
            one = self.clips.by_key.get(str(asked.pop("key", "")))
            if one is None:
                raise ConfigError("no such clip; load the page again")
            if asked == {"action": "undo"}:
                if not self.decisions.take_back(one.sha256):
                    raise ConfigError("nothing decided about this clip")
            else:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                about = {"clip": one.sha256, "name": one.row.key, "who": self.who, "when": now}
                masks = {} if asked.get("object") is None and asked.get("action") == "reject" else {"masks": one.masks}
                decision = Decision.parse(asked | about | masks, "decision")
                check_place(LocatedDecision(decision, "decision"), one.row.n_frames, one.clip.width, one.clip.height)
                if decision.action == "point" and not one.row.model.startswith("sam2/"):
                    raise ConfigError("a click works only with the segmenter 'sam2'; draw a box instead")
                self.decisions.put(decision)
            about_it = [each.decision for each in self.decisions.read() if each.decision.clip == one.sha256]
            return self.clips.describe(one, about_it)


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    timeout = 60
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The page, its content, or a picture."""
        place = urlsplit(self.path)
        if place.path == "/favicon.ico":
            self._answer(HTTPStatus.NO_CONTENT, b"", "image/x-icon")
            return
        query = {name: values[-1] for name, values in parse_qs(place.query).items()}
        if not self._allowed(query.get("token", "")):
            return
        if place.path == "/":
            self._answer(HTTPStatus.OK, self.server.page().encode(), "text/html; charset=utf-8")
        elif place.path == "/clips":
            self._try(self.server.listing)
        elif place.path == "/frame" and query.get("n", "").isdecimal():
            try:
                with self.server.lock:
                    found = self.server.clips.picture(query.get("key", ""), int(query["n"]), query.get("masks") == "1")
            except (MVideoError, OSError) as error:
                self._refuse(HTTPStatus.NOT_FOUND, str(error))
            else:
                self._answer(HTTPStatus.OK, found, "image/jpeg")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def do_POST(self) -> None:
        """One decision."""
        size = self.headers.get("Content-Length", "")
        body = self.rfile.read(int(size)) if size.isdecimal() and int(size) <= MAX_BODY_BYTES else b""
        if not self._allowed(self.headers.get("X-Review-Token", "")):
            return
        if self.headers.get("Origin", self.server.origin) != self.server.origin:
            self._refuse(HTTPStatus.FORBIDDEN, "decisions are taken from the review page only")
            return
        try:
            asked = json.loads(body)
        except ValueError:
            asked = None
        if self.path != "/decide" or not isinstance(asked, dict):
            self._refuse(HTTPStatus.BAD_REQUEST, "expected a decision as a JSON object")
            return
        self._try(lambda: self.server.decide(asked))

    def _try(self, work: Any) -> None:
        try:
            found = json.dumps(work()).encode()
        except (MVideoError, OSError) as error:
            self._refuse(HTTPStatus.CONFLICT, " ".join(str(error).split()))
        else:
            self._answer(HTTPStatus.OK, found, "application/json")

    def _allowed(self, token: str) -> bool:
        """Whether the request came to our name, with our token; answers if not."""
        port = self.server.server_address[1]
        if self.headers.get("Host") != f"{HOST}:{port}":
            self._refuse(HTTPStatus.FORBIDDEN, "not this server's name")
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that `mvideo review` printed; its token is missing")
        else:
            return True
        return False

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True
        self._answer(status, json.dumps({"error": why}).encode(), "application/json")

    def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        try:
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:  # the browser has moved on to another frame
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: their addresses hold the token."""
