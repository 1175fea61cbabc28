"""The review page's server; who may ask it: see `loopback`."""

import threading
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from mvideo_core.base.errors import ConfigError, MVideoError
from mvideo_core.pages.kit import page_html
from mvideo_core.pages.loopback import LoopbackHandler, LoopbackServer
from mvideo_core.pages.review.clips import ReviewClips
from mvideo_core.store.decisions import Decision, DecisionFile, LocatedDecision, check_place
from mvideo_core.store.workspace import Workspace

HERE = Path(__file__).parent
MAX_BODY_BYTES = 10_000
SHOWN_CLIPS = 300
"""Clips listed on the page at once; the rest follow once these are decided."""


class ReviewServer(LoopbackServer):
    """Serves one workspace until `shutdown`.

    Args:
        workspace: with masks.
        port: 0 = any free one.
        who: noted in each decision.

    Raises:
        ConfigError: there is nothing to review, or the port is taken.
    """

    command = "mvideo review"

    def __init__(self, workspace: Workspace, port: int = 0, who: str = ""):
        self.workspace, self.who = workspace, who
        self.clips = ReviewClips(workspace)
        self.decisions = DecisionFile(workspace)
        self.decisions.read()
        self.lock = threading.Lock()
        super().__init__(port, _Handler)

    def page(self) -> str:
        """The page; it fetches its content."""
        return page_html(HERE, f"Review of {Path(self.workspace.url).name}", scripts=["elements.js", "page.js"])

    def collect_content(self) -> dict[str, Any]:
        """Everything that the page shows."""
        with self.lock:
            self.clips.refresh()
            clips = self.clips.list_clips(self.decisions)
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


class _Handler(LoopbackHandler):
    server: ReviewServer
    max_body_bytes = MAX_BODY_BYTES
    proof_header = "X-Review-Token"

    def answer_get(self, path: str, query: dict[str, str]) -> None:
        """The page, its content, or a picture."""
        if path == "/":
            self.answer(HTTPStatus.OK, self.server.page().encode(), "text/html; charset=utf-8")
        elif path == "/clips":
            self.answer_with(self.server.collect_content)
        elif path == "/frame" and query.get("n", "").isdecimal() and len(query["n"]) < 10:
            try:
                with self.server.lock:
                    found = self.server.clips.picture(query.get("key", ""), int(query["n"]), query.get("masks") == "1")
            except (MVideoError, OSError) as error:
                self.refuse(HTTPStatus.NOT_FOUND, str(error))
            else:
                self.answer(HTTPStatus.OK, found, "image/jpeg")
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "no such page")

    def answer_post(self, path: str, asked: dict[str, Any]) -> None:
        """One decision."""
        if path != "/decide":
            self.refuse(HTTPStatus.BAD_REQUEST, "expected a decision")
            return
        self.answer_with(lambda: self.server.decide(asked))
