"""The studio with generation beside it; who may ask: see `loopback`."""

from http import HTTPStatus
from typing import Any

from mvideo_core.base.errors import ConfigError
from mvideo_core.pages.loopback import LoopbackHandler, LoopbackServer
from mvideo_core.pages.studio.job import Job

MAX_BODY_BYTES = 64 << 20


class StudioServer(LoopbackServer):
    """Serves the page and makes its videos.

    Args:
        page: from `studio_page(..., served=True)`.
        port: 0 = any free one.

    Raises:
        ConfigError: the port is taken.
    """

    command = "mvideo studio"

    def __init__(self, page: str, job: Job, port: int = 0):
        self.page, self.job = page, job
        super().__init__(port, _Handler)

    def video(self) -> bytes:
        """The last finished mp4.

        Raises:
            ConfigError: there is none yet.
        """
        if self.job.folder is None:
            raise ConfigError("no video yet")
        return (self.job.folder / "video.mp4").read_bytes()


class _Handler(LoopbackHandler):
    server: StudioServer
    max_body_bytes = MAX_BODY_BYTES
    proof_header = "X-Studio-Token"

    def answer_get(self, path: str, query: dict[str, str]) -> None:
        """The page, the model, the state of the video, or the video."""
        job = self.server.job
        if path == "/":
            self.answer(HTTPStatus.OK, self.server.page.encode(), "text/html; charset=utf-8")
        elif path == "/model":
            self.answer_with(job.model)
        elif path == "/state":
            self.answer_with(job.state)
        elif path == "/video":
            try:
                found = self.server.video()
            except (ConfigError, OSError) as error:
                self.refuse(HTTPStatus.NOT_FOUND, str(error))
            else:
                self.answer(HTTPStatus.OK, found, "video/mp4")
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "no such page")

    def answer_post(self, path: str, asked: dict[str, Any]) -> None:
        """Start a video, or stop it."""
        if path == "/generate":
            self.answer_with(lambda: self.server.job.start(asked))
        elif path == "/stop":
            self.answer_with(self.server.job.stop)
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "no such action")
