"""The served studio: who may ask, and a real video of the mini model beside the masks."""

import base64
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli.main import app
from mvideo_core.cli.studio import studio
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.editing.mask_files import load_masks, save_masks
from mvideo_core.masks.codec import encode
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.pages.studio.build import OpenedMasks, studio_page
from mvideo_core.pages.studio.job import Job, mini_note
from mvideo_core.pages.studio.server import StudioServer
from tests.fixtures.browser import needs_chromium, open_browser
from tests.mvideo_core.pages import asking


@pytest.fixture(scope="module")
def clip() -> MaskClip:
    y, x = np.mgrid[:64, :96]
    return MaskClip(
        encode(np.stack([[(x - 20 - 3 * t) ** 2 + (y - 32) ** 2 < 150] for t in range(17)])), 8.0, ("ball",)
    )


@pytest.fixture
def server(clip, tmp_path) -> Iterator[StudioServer]:
    job = Job(BaseOptions(weights="mini", dtype="fp32"), "", tmp_path / "videos")
    with StudioServer(studio_page([OpenedMasks("clip.masks", clip)], served=True), job) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        yield made
        job.stop()
        made.shutdown()
        thread.join()


def ask(server: StudioServer, path: str, body: dict[str, Any] | None = None, **headers: str) -> tuple[int, Any]:
    """Status, and the content, or the message of a refusal."""
    status, content = asking.ask(server, path, body, **headers)
    return status, content if status < 400 else json.loads(content)["error"]


def wish(clip: MaskClip, **more: Any) -> dict[str, Any]:
    masks = base64.b64encode(clip.sequence.to_bytes()).decode()
    return {"prompt": "A red ball.", "masks": masks, "fps": 8.0, "labels": ["ball"], "steps": 1} | more


def ended(server: StudioServer) -> dict[str, Any]:
    end_s = time.monotonic() + 120
    while (state := server.job.state())["state"] in ("loading", "running"):
        assert time.monotonic() < end_s, state
        time.sleep(0.05)
    return state


def test_nobody_else_may_read_or_generate(server, clip):
    token = {"X-Studio-Token": server.token}
    assert ask(server, "/")[0] == ask(server, "/state?token=guess")[0] == 403
    assert ask(server, "/generate", wish(clip))[0] == 403
    assert ask(server, "/generate", wish(clip), Origin="https://example.org", **token)[0] == 403
    assert ask(server, f"/state?token={server.token}", Host="rebound.example")[0] == 403
    assert server.job.state()["state"] == "idle"
    assert ask(server, f"/video?token={server.token}") == (404, "no video yet")


def test_what_does_not_fit_is_refused_in_one_line(server, clip):
    wrong = [
        ({"prompt": " "}, "no prompt; write what the video shows"),
        ({"masks": "?"}, "masks: not base64 of a .masks file"),
        ({"masks": base64.b64encode(b"MVMS").decode()}, "mask file: cut off: 4 bytes"),
        ({"prompt": "a \ud800"}, "prompt: 'a \\ud800' is not Unicode"),
        ({"labels": ["\ud800"]}, "masks: the label '\\ud800' has half of a surrogate pair"),
        ({"fps": 1e9}, "masks: 1e+09 frames per second; expected above 0 and at most 1000"),
        ({"steps": True}, "steps is true; expected a number"),
        ({"labels": []}, "0 labels for 1 objects"),
        ({"steps": 0}, "steps"),
        ({"speed": 3}, "speed"),
    ]
    for change, words in wrong:
        status, error = ask(server, "/generate", wish(clip, **change), **{"X-Studio-Token": server.token})
        assert (status, words in error, "\n" in error) == (409, True, False), error
    assert server.job.state()["state"] == "idle"


@pytest.mark.slow
def test_one_video_at_a_time_and_a_stopped_one_is_no_video(server, clip):
    token = {"X-Studio-Token": server.token}
    assert ask(server, "/generate", wish(clip, steps=200), **token)[0] == 200
    assert ask(server, "/generate", wish(clip), **token) == (409, "a video is being made; wait, or stop it")
    assert ask(server, "/stop", {}, **token)[0] == 200
    assert ended(server)["state"] == "stopped"
    assert ask(server, f"/video?token={server.token}")[0] == 404


def test_the_page_says_that_only_mini_weights_are_here(monkeypatch, tmp_path):
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    assert "Only mini weights are here; `mvideo weights fetch` gets public ones" in mini_note("mini")
    assert mini_note("cogvideox-2b") == ""


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"adapter": "nope"}, "adapter: nope: no such file or folder; use a training output folder"),
        ({"videos": __file__}, "test_server.py: a file; give a folder"),
        ({"base": "random:huge"}, "model size: 'huge' is unknown"),
        ({"base": "random:tiny-rope"}, "there is no adapter: random:tiny-rope alone ignores masks"),
    ],
)
def test_a_studio_that_could_not_generate_does_not_start(values, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usual = {"masks": [], "out": "", "fps": 0.0, "as_": "", "base": "mini", "dtype": "fp32", "adapter": "", "port": 0}
    with pytest.raises(ConfigError, match=re.escape(words)):
        studio(**(usual | {"videos": "studio"} | values))


def test_a_taken_port_is_refused(server, tmp_path):
    with pytest.raises(ConfigError, match=r"--port.*choose another"):
        StudioServer("", server.job, server.server_address[1])


@needs_chromium
def test_a_video_is_generated_beside_the_masks(server, tmp_path):
    with open_browser(tmp_path / "profile") as browser:
        browser.resize(1280, 1400)
        browser.open(server.url)
        browser.wait("document.getElementById('model').textContent.includes('mvideo-mini. Mini weights')")
        browser.run("document.getElementById('steps').value = 1")
        browser.run("document.getElementById('generate').click()")
        browser.wait("document.getElementById('video').readyState >= 2")
        assert browser.run("document.getElementById('video-about').textContent").startswith("17 frames in ")
        used = load_masks(tmp_path / "videos" / "0000" / "conditions" / "masks.masks")
        size = browser.run("[document.getElementById('beside').width, document.getElementById('beside').height]")
        assert size == [used.sequence.width, used.sequence.height]
        assert browser.errors == []
        assert [u for u in browser.requested if not u.startswith((server.origin + "/", "blob:", "data:"))] == []
    assert (tmp_path / "videos" / "0000" / "video.mp4").is_file()


def test_the_command_writes_a_page_or_serves_it(clip, tmp_path, capsys):
    masks, page = tmp_path / "a.masks", tmp_path / "page.html"
    save_masks(masks, clip.sequence, clip.fps, clip.labels)
    app(["studio", str(masks), "--out", str(page)], standalone_mode=False)
    assert (capsys.readouterr().out, "X-Studio-Token" in page.read_text()) == (f"studio: {page.as_uri()}\n", False)
    command = [sys.executable, "-m", "mvideo_core.cli.main", "studio", str(masks)]
    with subprocess.Popen([*command, "--videos", str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        model, address = process.stdout.readline(), process.stdout.readline()
        url = address.removeprefix("studio: ").partition(" ")[0]
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60) as answer:
            assert "X-Studio-Token" in answer.read().decode()
        process.send_signal(signal.SIGINT)
    assert model.startswith("model: mini with the adapter mvideo-mini. Mini weights")
    assert process.returncode == 0
    assert Path(masks).is_file()
