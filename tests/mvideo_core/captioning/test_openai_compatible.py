"""The client against a small server of the same protocol, on loopback."""

import base64
import io
import json
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from mvideo_core.captioning import CaptionInput
from mvideo_core.captioning.chat_client import retry_after_s
from mvideo_core.captioning.openai_compatible import OpenAICompatibleCaptioner, OpenAICompatibleOptions
from mvideo_core.errors import ConfigError, MediaError, ModelError


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(200, json.dumps({"object": "list", "data": [{"id": name} for name in self.server.models]}))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.requests.append((self.path, dict(self.headers), body))
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
            script = server.script.pop(0) if server.script else None
        try:
            status, text, headers = script(body) if script else answer(colour_of(body))
            self.reply(status, text, headers)
        finally:
            with server.lock:
                server.busy -= 1

    def reply(self, status, text, headers=None):
        data = text.encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def answer(text, **message):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
    return 200, json.dumps({"id": "x", "object": "chat.completion", "choices": [choice]}), {}


def colour_of(body):
    """The picture's colour: proof that the server got the pixels of that clip."""
    time.sleep(0.02)
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    image = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))))
    red, _, blue = image.convert("RGB").getpixel((0, 0))
    return f"A red\n scene {image.size[0]}x{image.size[1]}." if red > blue else "A blue scene."


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.models, made.script, made.requests = ["nvila-8b"], [], []
    made.lock, made.busy, made.most_busy = threading.Lock(), 0, 0
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def captioner(server, **changes):
    options = {"base_url": f"http://127.0.0.1:{server.server_port}/v1", "backoff_s": 0.01, "max_retries": 2, **changes}
    return OpenAICompatibleCaptioner.load(OpenAICompatibleOptions(**options))


def clip(key="a", colour=(255, 0, 0), labels=()):
    frames = np.broadcast_to(np.array(colour, np.uint8), (20, 48, 96, 3)).copy()
    return CaptionInput(key=key, width=96, height=48, fps=8.0, frames_THWC=frames, labels=labels)


def test_request_has_the_frames_the_question_and_the_sampling_options(server):
    text = captioner(server, max_side_px=64, name_objects=True).caption([clip(labels=("dog", "cat", "dog"))])
    assert text == ["A red scene 64x32."]
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert "Authorization" not in headers
    parts = body["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["image_url"] * 8 + ["text"]
    assert parts[-1]["text"].endswith("Objects detected in it: cat, dog.")
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("nvila-8b", 0.0, 256)


def test_many_clips_keep_their_order_within_the_bound(server):
    clips = [clip(str(n), (255, 0, 0) if n % 3 else (0, 0, 255)) for n in range(12)]
    one = captioner(server, concurrency=3)
    together = one.caption(clips)
    assert 1 < server.most_busy <= 3
    assert together == [one.caption([item])[0] for item in clips]
    assert [text.split()[1] for text in together[:4]] == ["blue", "red", "red", "blue"]


def test_429_is_waited_out_as_the_server_asks(server):
    server.script = [lambda body: (429, "{}", {"Retry-After": "0.3"})]
    started = time.monotonic()
    assert captioner(server).caption([clip()]) == ["A red scene 96x48."]
    assert time.monotonic() - started >= 0.3
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "bad",
    [
        lambda body: (503, "loading", {}),
        lambda body: (200, '{"choices": [{"mess', {}),
    ],
)
def test_server_trouble_heals_or_ends_in_a_model_error(server, bad):
    server.script = [bad, bad]
    assert captioner(server).caption([clip()]) == ["A red scene 96x48."]
    server.script = [bad] * 3
    with pytest.raises(ModelError, match="no good answer for a after 3 tries"):
        captioner(server).caption([clip()])


def test_a_slow_answer_is_tried_again(server):
    def slow(body):
        time.sleep(0.6)
        return answer("too late")

    server.script = [slow]
    assert captioner(server, timeout_s=0.2).caption([clip()]) == ["A red scene 96x48."]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (answer(None, refusal="I cannot"), "refused this clip: I cannot"),
        (answer("  "), "answered with no text"),
        ((400, json.dumps({"error": {"message": "no", "code": "content_filter"}}), {}), "refuses this clip's content"),
    ],
)
def test_a_refused_clip_fails_alone(server, reply, words):
    server.script = [lambda body: reply]
    first, second = captioner(server, concurrency=1).caption([clip("bad"), clip("good")])
    assert isinstance(first, MediaError)
    assert words in str(first)
    assert "bad" in str(first)
    assert second == "A red scene 96x48."


def test_a_rejected_request_is_the_users_to_mend(server):
    error = {"object": "error", "message": "At most 4 image(s) may be provided", "type": "BadRequestError", "code": 400}
    server.script = [lambda body: (400, json.dumps(error), {})]
    with pytest.raises(ConfigError, match=r"At most 4 image.*check n_frames"):
        captioner(server).caption([clip()])
    assert len(server.requests) == 1


def test_model_names_are_checked_when_loading(server):
    assert captioner(server).model_name == "nvila-8b"
    with pytest.raises(ModelError, match="does not serve the model 'gpt'; it lists: nvila-8b"):
        captioner(server, model="gpt")
    server.models = ["a", "b"]
    with pytest.raises(ModelError, match="name one in `model`; it lists: a, b"):
        captioner(server)
    server.models = []
    assert captioner(server, model="vila").model_name == "vila"


def test_an_absent_server_is_a_model_error():
    options = OpenAICompatibleOptions(base_url="http://127.0.0.1:9/v1", max_retries=1, backoff_s=0.0)
    with pytest.raises(ModelError, match="check that the server runs"):
        OpenAICompatibleCaptioner.load(options)


def test_key_comes_from_the_named_variable(server, monkeypatch):
    monkeypatch.setenv("CAPTION_KEY", "s3cret")
    captioner(server, api_key_env="CAPTION_KEY").caption([clip()])
    assert server.requests[0][1]["Authorization"] == "Bearer s3cret"
    monkeypatch.delenv("CAPTION_KEY")
    with pytest.raises(ConfigError, match="names CAPTION_KEY, which is not set"):
        captioner(server, api_key_env="CAPTION_KEY")
    server.script = [lambda body: (401, json.dumps({"error": {"message": "bad key"}}), {})]
    with pytest.raises(ConfigError, match="api_key_env"):
        captioner(server).caption([clip()])


def test_base_url_must_be_an_address():
    with pytest.raises(ConfigError, match="base_url 'localhost:8000'"):
        OpenAICompatibleCaptioner.load(OpenAICompatibleOptions(base_url="localhost:8000"))


def test_retry_after_reads_seconds_and_dates():
    now = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after_s("7", now) == 7.0
    assert retry_after_s("Fri, 01 May 2026 12:00:30 GMT", now) == 30.0
    assert retry_after_s("Fri, 01 May 2026 11:00:00 GMT", now) == 0.0
    assert retry_after_s("soon", now) is None
