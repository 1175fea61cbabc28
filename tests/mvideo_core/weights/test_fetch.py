"""Fetching from a loopback server that breaks off, resumes, lies and refuses."""

import fcntl
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mvideo_core.base.errors import ModelError, StoreError
from mvideo_core.weights import catalog, download, fetch
from mvideo_core.weights.records import WeightsEntry, WeightsFile

BODY = bytes(range(256)) * 40


class Handler(BaseHTTPRequestHandler):
    """Serves BODY with ranges; `/whole` ignores them; `/broken` promises all, sends a quarter, then shows faults."""

    ranges: list[str | None] = []
    faults: list[int] = []

    def do_GET(self):
        asked = self.headers.get("Range")
        Handler.ranges.append(asked)
        if self.path == "/gone":
            self.send_error(404)
            return
        if self.path == "/broken" and asked and Handler.faults:
            self.send_error(Handler.faults.pop())
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.path != "/whole" else 0
        body = BODY[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(BODY) // 4] if self.path == "/broken" and not start else body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture
def listed(server, tmp_path, monkeypatch):
    """Puts one entry called "thing" into the catalog and returns its folder."""

    def put(path, sha256=hashlib.sha256(BODY).hexdigest()):
        file = WeightsFile(path="w/thing.bin", url=server + path, size_bytes=len(BODY), sha256=sha256)
        config = WeightsFile(path="config.json", text="{}\n")
        item = WeightsEntry(name="thing", kind="detector", license="none", files=[file, config])
        monkeypatch.setattr(catalog, "entries", lambda: (item,))
        return tmp_path / "thing"

    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(download, "FIRST_WAIT_S", 0.01)
    Handler.ranges.clear()
    return put


def test_fetch_fills_the_folder_once(listed):
    folder = listed("/whole")
    seen = []
    assert fetch("thing", progress=lambda *args: seen.append(args)) == folder
    assert (folder / "w/thing.bin").read_bytes() == BODY
    assert (folder / "config.json").read_text() == "{}\n"
    assert seen[-1] == ("w/thing.bin", len(BODY), len(BODY))
    fetch("thing")
    assert Handler.ranges == [None], "a complete folder is not fetched again"


def test_broken_transfer_continues_where_it_stopped(listed):
    folder = listed("/broken")
    fetch("thing")
    assert Handler.ranges == [None, "bytes=2560-"]
    assert (folder / "w/thing.bin").read_bytes() == BODY


def test_a_server_with_a_lasting_fault_is_left_and_the_part_kept(listed):
    """Five tries in a row without a new byte: the cut one, and four that are answered with a fault."""
    folder = listed("/broken")
    Handler.faults[:] = [503] * 4
    with pytest.raises(ModelError, match=r"503.*2560 bytes are kept"):
        fetch("thing")
    assert len(Handler.ranges) == 5
    assert not (folder / "w/thing.bin").exists()
    Handler.faults[:] = [403]  # an expired right, say: no reason to start again
    with pytest.raises(ModelError, match=r"403.*2560 bytes are kept"):
        fetch("thing")
    fetch("thing")
    assert set(Handler.ranges[1:]) == {"bytes=2560-"}
    assert (folder / "w/thing.bin").read_bytes() == BODY


def test_one_process_downloads_a_file(listed):
    folder = listed("/whole")
    (folder / "w").mkdir(parents=True)
    with (folder / "w/thing.bin.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ModelError, match=r"another process is downloading to .*thing\.bin\.part"):
            fetch("thing")
    fetch("thing")


def test_a_folder_that_cannot_be_written_is_named(listed, tmp_path):
    listed("/whole")
    (tmp_path / "thing").write_text("in the way")
    with pytest.raises(StoreError, match=r"thing.*cannot be written .*thing is a file, not a folder"):
        fetch("thing")


def test_server_without_ranges_starts_again(listed):
    folder = listed("/whole")
    (folder / "w").mkdir(parents=True)
    (folder / "w/thing.bin.part").write_bytes(b"old rubbish")
    fetch("thing")
    assert (folder / "w/thing.bin").read_bytes() == BODY


def test_wrong_digest_is_refused_and_removed(listed):
    folder = listed("/whole", sha256="0" * 64)
    with pytest.raises(ModelError, match="they are removed"):
        fetch("thing")
    assert list((folder / "w").iterdir()) == []


def test_missing_page_names_the_remedy(listed):
    folder = listed("/gone")
    with pytest.raises(ModelError, match=r"404[^;]*; rerun the command .*copy the file to .*thing\.bin by hand"):
        fetch("thing")
    assert list((folder / "w").iterdir()) == []
