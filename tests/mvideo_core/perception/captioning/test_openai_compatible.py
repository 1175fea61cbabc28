"""The captioner against a server of the same protocol, over real sockets on loopback."""

import base64
import io
import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvideo_core.base.errors import ConfigError, MediaError, ModelError, ServerUnavailable
from mvideo_core.perception.captioning import Answer, CaptionInput, in_order
from mvideo_core.perception.captioning.openai_compatible import OpenAICompatibleCaptioner, OpenAICompatibleOptions
from tests.fixtures.chat_server import FAULTS, ChatServer, Reply, completion, failure, question_of


def color_of(body):
    """The picture's color: proof that the server got the pixels of that clip."""
    time.sleep(0.02)
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    image = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))))
    red, _, blue = image.convert("RGB").getpixel((0, 0))
    return completion(f"A {'red' if red > blue else 'blue'} scene {image.size[0]}x{image.size[1]}.", model="nvila-8b")


@pytest.fixture
def server():
    with ChatServer(color_of) as made:
        made.models = ["nvila-8b"]
        yield made


def captioner(server, **changes):
    options = {"base_url": server.url, "max_retries": 1, "n_frames": 2, "load_timeout_s": 5.0, **changes}
    return OpenAICompatibleCaptioner.load(OpenAICompatibleOptions(**options))


def clip(key="a", color=(255, 0, 0), labels=()):
    frames = np.broadcast_to(np.array(color, np.uint8), (4, 48, 96, 3)).copy()
    return CaptionInput(key=key, width=96, height=48, fps=8.0, frames_THWC=frames, labels=labels)


def bad_for(label, reply):
    """Good answers but for clips with that label."""
    return lambda body: reply if f"in it: {label}" in question_of(body) else completion("A dog runs.")


def test_request_has_the_frames_the_question_and_the_sampling_options(server):
    one = captioner(server, max_side_px=64, name_objects=True)
    (answer,) = in_order(one, [clip(labels=("dog", "cat", "dog"))])
    assert answer == Answer("A red scene 64x32.", model="nvila-8b")
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert "authorization" not in headers
    parts = body["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["image_url"] * 2 + ["text"]
    assert parts[-1]["text"].endswith("Objects detected in it: cat, dog.")
    assert {name: body[name] for name in body if name != "messages"} == {
        "model": "nvila-8b", "temperature": 0.0, "seed": 0, "max_tokens": 256,
    }  # fmt: skip


def test_sampling_options_can_be_left_out_and_others_added(server):
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "max_completion_tokens": 300}
    in_order(captioner(server, temperature=None, seed=None, max_tokens=None, extra_body=extra), [clip()])
    body = server.requests[0][2]
    assert set(body) == {"model", "messages", "chat_template_kwargs", "max_completion_tokens"}
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_many_clips_keep_their_order_within_the_bound(server):
    clips = [clip(str(n), (255, 0, 0) if n % 3 else (0, 0, 255)) for n in range(12)]
    one = captioner(server, concurrency=3)
    together = in_order(one, clips)
    assert 1 < server.most_busy <= 3
    assert together == [in_order(one, [item])[0] for item in clips]
    assert [answer.text.split()[1] for answer in together[:4]] == ["blue", "red", "red", "blue"]


def test_more_than_16_requests_are_under_way_when_asked_for():
    gate = threading.Barrier(40, timeout=20)

    def answer(_body):
        gate.wait()  # passes only when 40 requests are here at once
        return completion("A dog runs.")

    with ChatServer(answer) as server:
        answers = in_order(captioner(server, concurrency=40), [clip(str(n)) for n in range(40)])
    assert {one.text for one in answers} == {"A dog runs."}


def test_an_answer_comes_before_slower_ones_are_there(server):
    release = threading.Event()

    def answer(body):
        if "in it: slow" in question_of(body):
            release.wait(10)
        return completion("A dog runs.")

    server.answer = answer
    answers = captioner(server, name_objects=True).caption([clip("slow", labels=("slow",)), clip("quick")])
    assert next(answers)[0] == 1
    release.set()
    assert next(answers)[0] == 0


def test_429_is_waited_out_as_the_server_asks(server):
    replies = [FAULTS["429 Retry-After 1"]]
    server.answer = lambda body: replies.pop() if replies else color_of(body)
    started = time.monotonic()
    assert in_order(captioner(server), [clip()])[0].text == "A red scene 96x48."
    assert time.monotonic() - started >= 1.0
    assert len(server.requests) == 2


def test_one_clip_that_always_fails_costs_no_other_and_the_server_is_not_blamed(server):
    server.answer = bad_for("bad", FAULTS["500"])
    clips = [clip(f"c{n}", labels=("bad",) if n == 5 else ()) for n in range(12)]
    answers = in_order(captioner(server, name_objects=True, concurrency=2), clips)
    assert [n for n, one in enumerate(answers) if isinstance(one, MediaError)] == [5]
    assert str(answers[5]) == f"{server.url} for c5: status 500: internal error; 2 tries"


def test_a_server_that_fails_all_stops_the_run_and_blames_no_clip(server):
    good = 4
    server.answer = lambda body: completion("A dog runs.") if len(server.requests) <= good else FAULTS["500"]
    answers = captioner(server, concurrency=1, max_retries=0).caption([clip(str(n)) for n in range(40)])
    assert [(n, one.text) for n, one in itertools.islice(answers, good)] == [(n, "A dog runs.") for n in range(good)]
    with pytest.raises(
        ServerUnavailable, match=r"8 clips in a row failed, 4 clips were answered before; last error: .* 500"
    ):
        next(answers)
    assert len(server.requests) == good + 8


def test_a_server_that_rejects_all_requests_is_the_options_fault(server):
    server.answer = lambda _body: failure(400, "At most 4 image(s) may be provided")
    with pytest.raises(ConfigError, match=r"no clip was answered; last error: .*At most 4 image.*check n_frames"):
        in_order(captioner(server), [clip(str(n)) for n in range(20)])
    assert len(server.requests) < 20


def test_a_model_that_loads_is_waited_for():
    with ChatServer(color_of) as server:
        started = time.monotonic()
        server.list_reply = Reply(503, b'{"error": {"message": "Loading model", "code": 503}}')
        threading.Timer(1.5, lambda: setattr(server, "list_reply", None)).start()
        assert in_order(captioner(server, max_retries=0), [clip()])[0].text.startswith("A red scene")
        assert 1.5 <= time.monotonic() - started < 5
        server.list_reply = Reply(404, b"not found")
        with pytest.raises(ServerUnavailable, match=r"not ready after 0\.5 s \(status 404"):
            captioner(server, load_timeout_s=0.5)


def test_a_server_that_restarts_in_mid_run_is_waited_for():
    with ChatServer(color_of) as server:
        one = captioner(server, max_retries=0)
        assert in_order(one, [clip()])[0].text.startswith("A red scene")
        port = server.server_port
    again = []
    threading.Timer(1.5, lambda: again.append(ChatServer(color_of, port))).start()
    try:
        assert in_order(one, [clip()])[0].text.startswith("A red scene")
    finally:
        again[0].close()
    with pytest.raises(ServerUnavailable, match=r"not ready after 0\.2 s"):
        captioner(again[0], load_timeout_s=0.2)


def test_ctrl_c_during_a_hang_stops_at_once_and_sends_nothing_more(server, tmp_path):
    server.answer = lambda _body: Reply(wait_s=30.0)
    script = tmp_path / "hang.py"
    script.write_text(
        "import sys\n"
        "from tests.mvideo_core.perception.captioning.test_openai_compatible import captioner, clip, in_order\n"
        "server = type('Server', (), {'url': sys.argv[1]})\n"
        "in_order(captioner(server, concurrency=2), [clip(str(n)) for n in range(9)])\n"
    )
    root = str(Path(__file__).resolve().parents[4])
    child = subprocess.Popen(
        [sys.executable, str(script), server.url],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    deadline = time.monotonic() + 30
    while len(server.requests) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, told = child.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert "KeyboardInterrupt" in told
    assert len(server.requests) == 2


def test_model_names_are_checked_when_loading(server):
    assert captioner(server).model_name == "nvila-8b"
    with pytest.raises(ModelError, match="does not serve the model 'gpt'; it lists: nvila-8b"):
        captioner(server, model="gpt")
    server.models = ["a", "b"]
    with pytest.raises(ModelError, match="set `model`; it lists: a, b"):
        captioner(server)
    for models in ([], None):  # a server without a list is believed
        server.models = models
        assert captioner(server, model="vila").model_name == "vila"


def test_the_servers_own_name_of_the_model_goes_with_each_answer(server):
    server.answer = lambda _body: completion("A dog runs.", model="nvila-8b-2026-05-01")
    assert in_order(captioner(server), [clip()])[0].model == "nvila-8b-2026-05-01"


def test_the_key_is_sent_stripped_and_shown_nowhere(server, monkeypatch, caplog):
    monkeypatch.setenv("CAPTION_KEY", " sk-s3cret-9\n")
    in_order(captioner(server, api_key_env="CAPTION_KEY"), [clip()])
    assert server.requests[0][1]["authorization"] == "Bearer sk-s3cret-9"
    server.answer = lambda _body: failure(401, "Incorrect API key provided: sk-s3cret-9")
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(ConfigError, match=r"status 401: .*provided: \*\*\*; .*api_key_env"),
    ):
        in_order(captioner(server, api_key_env="CAPTION_KEY"), [clip()])
    assert "s3cret" not in caplog.text


def test_another_servers_key_in_the_environment_is_not_sent(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    in_order(captioner(server), [clip()])
    monkeypatch.setenv("OPENAI_ORG_ID", "org-other")
    in_order(captioner(server), [clip()])
    for _, headers, _ in server.requests:
        assert "other" not in str(headers)
        assert not {"authorization", "openai-organization", "openai-project"} & set(headers)


def test_one_look_before_a_run_tells_absent_servers_wrong_models_and_refused_keys(server):
    options = OpenAICompatibleOptions(base_url=server.url)
    options.reach()
    with pytest.raises(ModelError, match="does not serve the model 'gpt'"):
        options.model_copy(update={"model": "gpt"}).reach()
    server.list_reply = Reply(503, b"loading")
    options.reach()  # it is there, and the stage waits for it
    server.list_reply = failure(401, "invalid key")
    with pytest.raises(ConfigError, match="api_key_env"):
        options.reach()
    server.close()
    started = time.monotonic()
    with pytest.raises(ServerUnavailable, match="check that the server is running and base_url is correct"):
        options.reach()
    assert time.monotonic() - started < 2
