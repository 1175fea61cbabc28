"""The review page: its server by plain HTTP, and the page in a real browser."""

import functools
import io
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mvideo_core.base.errors import ConfigError
from mvideo_core.pages.review.server import ReviewServer
from mvideo_core.store.decisions import DECISIONS
from mvideo_core.store.workspace import Workspace
from tests.fixtures.browser import needs_chromium, open_browser
from tests.mvideo_core.pages.asking import ask
from tests.mvideo_core.pages.review.drawn import HEIGHT, HOSTILE, WIDTH, write_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return write_workspace(tmp_path_factory.mktemp("review") / "a_workspace_whose_name_is_wider_than_a_narrow_screen")


@pytest.fixture
def server(workspace: Workspace) -> Iterator[ReviewServer]:
    workspace.folder.remove(DECISIONS)
    with ReviewServer(workspace, who="Ann") as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def other_site(tmp_path) -> Iterator[str]:
    """A page at another port: another origin for browsers."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{made.server_address[1]}/"
        made.shutdown()
        thread.join()


def decide(server: ReviewServer, **decision: Any) -> tuple[int, dict[str, Any]]:
    status, content = ask(server, "/decide", decision, **{"X-Review-Token": server.token})
    return status, json.loads(content)


def written(workspace: Workspace) -> list[dict[str, Any]]:
    lines = (workspace.folder.read_or_none(DECISIONS) or b"").decode().splitlines()
    return [json.loads(line) for line in lines]


def listing(server: ReviewServer) -> dict[str, Any]:
    return json.loads(ask(server, f"/clips?token={server.token}")[1])


def test_clips_come_in_the_order_of_their_gain(server):
    clips = listing(server)["clips"]
    assert [(one["key"], one["gain"]) for one in clips] == [("jumpy", 8.0), ("hostile", 3.2), ("calm", 1.2)]
    assert [one["status"] for one in clips] == ["", "no_object_passed", ""]
    assert decide(server, key="jumpy", action="accept")[0] == 200
    assert [one["key"] for one in listing(server)["clips"]] == ["hostile", "calm", "jumpy"]


def test_pictures_show_the_frame_and_its_masks(server):
    def picture(masks: int) -> np.ndarray:
        status, content = ask(server, f"/frame?token={server.token}&key=calm&n=2&masks={masks}")
        assert status == 200
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)

    plain, masked = picture(0), picture(1)
    assert plain.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(plain[50, 30] - (215, 190, 40)).max() < 40  # inside the second square
    assert np.abs(plain - masked)[45:48, 30:40].mean() > 20
    assert np.abs(plain - masked)[55:, 70:].mean() < 8
    assert ask(server, f"/frame?token={server.token}&key=calm&n=8")[0] == 404
    assert ask(server, f"/frame?token={server.token}&key=../x&n=0")[0] == 404


def test_decisions_are_written_at_once_and_what_does_not_fit_is_refused(server, workspace):
    assert decide(server, key="calm", action="relabel", object=1, label="cow")[0] == 200
    assert decide(server, key="calm", action="reject")[0] == 200
    sha256 = server.clips.by_key["calm"].sha256
    first, second = written(workspace)
    assert (first["clip"], first["object"], first["label"], first["who"]) == (sha256, 1, "cow", "Ann")
    assert first["masks"] == server.clips.by_key["calm"].masks
    assert (second["action"], "masks" in second) == ("reject", False)  # whatever its masks become
    wrong = [
        ({"key": "gone", "action": "accept"}, "no such clip"),
        ({"key": "calm", "action": "accept", "colour": 1}, "colour: Extra inputs"),
        ({"key": "calm", "action": "box", "object": 0, "frame": 8, "box_xyxy": [1, 1, 9, 9]}, "frames 0 to 7"),
        ({"key": "calm", "action": "box", "object": 0, "frame": 1, "box_xyxy": [96, 1, 99, 9]}, "outside"),
    ]
    for body, words in wrong:
        status, found = decide(server, **body)
        assert (status, words in found["error"], "\n" in found["error"]) == (409, True, False), found
    assert len(written(workspace)) == 2
    assert decide(server, key="calm", action="undo")[0] == 200
    assert [one["action"] for one in written(workspace)] == ["relabel"]


def test_nobody_else_may_read_or_decide(server, workspace):
    accept, token = {"key": "calm", "action": "accept"}, {"X-Review-Token": server.token}
    assert ask(server, "/")[0] == ask(server, "/clips?token=guess")[0] == 403
    assert ask(server, "/decide", accept)[0] == 403
    assert ask(server, f"/decide?token={server.token}", accept)[0] == 403  # a form of another site could send this
    assert ask(server, "/decide", accept, Origin="https://example.org", **token)[0] == 403
    assert ask(server, "/decide", accept, Origin="null", **token)[0] == 403
    assert ask(server, f"/clips?token={server.token}", Host="rebound.example")[0] == 403
    assert written(workspace) == []
    assert ask(server, "/decide", accept, Origin=server.origin, **token)[0] == 200
    assert server.server_address[0] == "127.0.0.1"


def test_a_workspace_without_masks_and_a_taken_port_are_refused(server, workspace, tmp_path):
    empty = Workspace(str(tmp_path / "ws"))
    empty.ensure()
    with pytest.raises(ConfigError, match="no masks to review; run `mvideo run`"):
        ReviewServer(empty)
    with pytest.raises(ConfigError, match=r"--port.*choose another"):
        ReviewServer(workspace, server.server_address[1])


def test_the_command_prints_the_address_and_ends_with_ctrl_c(workspace):
    command = [sys.executable, "-m", "mvideo_core.cli.main", "review", "-w", workspace.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        place, page = process.stdout.readline(), process.stdout.readline()
        url = page.removeprefix("review: ").partition(" ")[0]
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60) as answer:
            html = answer.read().decode()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert f"<title>Review of {Path(workspace.url).name}</title>" in html
    assert place == f"decisions: {workspace.url}/{DECISIONS}\n"
    assert (process.returncode, "decisions; `mvideo run` applies them" in rest) == (0, True)


@needs_chromium
def test_a_review_in_a_browser(server, other_site, workspace, tmp_path):
    with open_browser(tmp_path / "profile") as browser:
        browser.resize(1280, 900)
        browser.open(server.url)
        browser.wait("document.querySelectorAll('#list li').length === 3")
        browser.wait("document.getElementById('picture').naturalWidth > 0")
        assert browser.run("document.getElementById('name').textContent") == "jumpy"

        browser.press("ArrowRight")
        browser.press("ArrowRight")
        browser.press("1")
        browser.wait("document.getElementById('at').textContent === '2 of 7'")
        left, top, width, height = browser.box("#frame")
        assert width / height == pytest.approx(WIDTH / HEIGHT, rel=0.02)
        at = [(left + x / WIDTH * width, top + y / HEIGHT * height) for x, y in ((24, 16), (72, 48))]
        browser.drag(*at)
        browser.wait("document.querySelectorAll('#marks rect').length === 1")
        browser.press("ArrowRight")
        browser.drag(at[0], at[0])  # a click
        browser.wait("document.querySelectorAll('#marks circle').length === 1")
        browser.run("document.getElementById('label').value = 'zebra'")
        browser.run("document.getElementById('relabel').click()")
        browser.wait("document.getElementById('decisions').textContent.includes('call it zebra')")
        browser.press("c")
        browser.press("a")
        browser.wait("document.getElementById('name').textContent === 'hostile'")  # moved on
        browser.press("r")
        browser.wait("document.getElementById('name').textContent === 'calm'")
        title, errors = browser.run("document.title"), list(browser.errors)

        browser.open(other_site)
        script = f"""fetch("{server.origin}/decide", {{method: "POST", headers: {{"Content-Type": "application/json",
            "X-Review-Token": "{server.token}"}}, body: '{{"key": "calm", "action": "reject"}}'}})
            .then(() => "sent", error => error.name)"""
        assert browser.run(script) == "TypeError"  # the browser asks first, and is not allowed
        form = f"""fetch("{server.origin}/decide", {{method: "POST", mode: "no-cors",
            body: '{{"key": "calm", "action": "reject"}}'}}).then(() => "sent")"""
        assert browser.run(form) == "sent"  # arrives without the token

    box, click, relabel, accept, reject = written(workspace)
    assert title == f"Review of {Path(workspace.url).name}" != HOSTILE
    assert errors == []
    about = {"object": 1, "clip": server.clips.by_key["jumpy"].sha256}
    assert ({"action": "box", "frame": 2} | about).items() <= box.items()
    assert ({"action": "point", "frame": 3} | about).items() <= click.items()
    assert box["box_xyxy"] == pytest.approx([24, 16, 72, 48], abs=0.2)
    assert click["point_xy"] == pytest.approx([24, 16], abs=0.2)
    assert (relabel["object"], relabel["label"]) == (1, "zebra")
    assert [(one["action"], one["name"]) for one in (accept, reject)] == [("accept", "jumpy"), ("reject", "hostile")]
    asked = [url for url in browser.requested if not url.startswith((server.origin + "/", other_site))]
    assert asked == []


@needs_chromium
def test_a_box_of_a_new_object_is_drawn_on_a_narrow_screen(server, workspace, tmp_path):
    with open_browser(tmp_path / "profile") as browser:
        browser.resize(400, 800, dark=True)
        browser.open(server.url)
        browser.wait("document.getElementById('picture').naturalWidth > 0")
        assert browser.run("document.documentElement.scrollWidth") <= 400
        browser.run("document.getElementById('label').value = 'cow'")
        browser.press("+")
        left, top, width, height = browser.box("#frame")
        browser.drag((left + width / 4, top + height / 4), (left + width / 2, top + height / 2))
        browser.wait("document.getElementById('decisions').textContent.includes('(new, cow)')")
        background = browser.run("getComputedStyle(document.body).backgroundColor")
    (box,) = written(workspace)
    assert (box["action"], box["object"], box["frame"], box["label"]) == ("box", 2, 0, "cow")
    assert box["box_xyxy"] == pytest.approx([24, 16, 48, 32], abs=0.5)
    assert background == "rgb(20, 24, 29)"  # the dark page
