import json
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from mvideo.deployments._server import require_version
from mvideo.deployments.stack import Stack
from mvideo_core.base.errors import StoreError


class Answer(BaseHTTPRequestHandler):
    """Health and version, as a Prefect server says them."""

    version = ""

    def do_GET(self) -> None:
        body = json.dumps(self.version if self.path == "/api/admin/version" else True).encode()
        self.send_response_only(200)
        self.send_header("Date", formatdate(usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    """Address of a server of some version on loopback."""
    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("version", ["2.20.1", "3.7.4", "4.0.0"])
def test_a_server_of_another_version_is_refused_in_a_line(version: str, url: str, tmp_path: Path) -> None:
    Answer.version = version
    environment = tmp_path / "joined.yaml"
    environment.write_text(f"server: false\napi_url: {url}\n")
    for command in ("up", "register", "reap"):
        with pytest.raises(StoreError) as raised:
            getattr(Stack(tmp_path / "state", str(environment)), command)()
        said = str(raised.value)
        assert said.startswith(f"the server at {url} is Prefect {version}; 3.8 or a newer 3 is needed")
        assert "\n" not in said


@pytest.mark.parametrize("version", ["3.8.8", "3.9.1", "3.10.0", "3.10.0rc1"])
def test_versions_that_were_tried_and_newer_ones_pass(version: str, url: str) -> None:
    Answer.version = version
    require_version(url)


def test_a_server_that_says_no_version_passes() -> None:
    require_version("http://127.0.0.1:1/api")
