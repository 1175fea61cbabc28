"""A chat server on loopback that answers as vision-language models do and fails as real servers do.

`python -m benchmarks.chat_server --port 8000 --faults "500,closed socket" --every 3` serves good captions, and every
third request meets one of the faults in turn. The tests and the rehearsal use the same class.
"""

import argparse
import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = "A brown dog runs across a meadow from left to right. The camera follows it."
MODEL = "drawn-vlm"
_WORDS = [
    "the", "a", "dog", "cat", "bird", "tree", "river", "house", "child", "street", "car", "light", "shadow",
    "morning", "crowd", "boat", "hill", "bridge", "window", "cloud", "runs", "turns", "stops", "looks", "falls",
    "waits", "jumps", "drifts", "shines", "leans", "toward", "behind", "under", "across", "near", "slowly", "quickly",
    "softly", "red", "green", "tall", "small", "bright", "old", "quiet", "wet",
]  # fmt: skip
_PROMPT_MARK = "{prompt}"


def _long_text() -> str:
    """About 2,000 tokens of sentences without sense and without loops."""
    draw = random.Random(0)
    drawn = [" ".join(draw.choice(_WORDS) for _ in range(draw.randint(8, 16))) for _ in range(150)]
    return " ".join(f"{one.capitalize()}." for one in drawn)


@dataclass(frozen=True)
class Reply:
    """One answer of the server.

    Attributes:
        status, body, headers: as sent.
        wait_s: silence before the first byte.
        drip_s: seconds between single bytes; 0 sends the body at once.
        send: "all", "half" of the body before the connection is closed, or "none".
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    drip_s: float = 0.0
    send: str = "all"


def completion(content: Any, finish: str = "stop", model: str = MODEL, **message: Any) -> Reply:
    """A chat completion with this message."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    body = {"id": "x", "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}
    return Reply(body=json.dumps(body).encode())


def failure(status: int, message: str, code: str | None = None, sent_as: int | None = None, **headers: str) -> Reply:
    """An API error; `sent_as` is the HTTP status where that is another one."""
    body = {"error": {"message": message, "type": code, "code": code or status}}
    return Reply(sent_as or status, json.dumps(body).encode(), headers)


ANSWERS: dict[str, Reply] = {
    "plain text": completion(GOOD),
    "list of parts": completion([{"type": "text", "text": "A dog runs. "}, {"type": "text", "text": "It stops."}]),
    "think block": completion("<think>Frame 1 shows a dog.</think>\n\nA dog runs."),
    "unclosed think block": completion("<think>Frame 1 shows a dog, so I should"),
    "reasoning without an opening tag": completion("Frame 1 shows a dog.</think>A dog runs."),
    "channels": completion(
        "<|channel|>analysis<|message|>A dog.<|end|><|channel|>final<|message|>A dog runs.<|return|>"
    ),
    "Caption: in bold": completion("**Caption:** A dog runs."),
    "Sure! Here is": completion("Sure! Here is a one-paragraph description of the video:\n\nA dog runs."),
    "offer at the end": completion("A dog runs. Let me know if you would like more detail!"),
    "bullets": completion("## Video Description\n- A dog runs\n- A cat sits."),
    "code fence": completion("```text\nA dog runs.\n```"),
    "JSON in a fence": completion('```json\n{"caption": "A dog runs."}\n```'),
    "JSON without a caption": completion('{"objects": [1, 2], "count": 2}'),
    "<|im_end|>": completion("A dog runs.<|im_end|>\n<|im_start|>user\nThanks!"),
    "in quotes": completion('"A dog runs."'),
    "refusal": completion("I'm sorry, but I can't help with that."),
    "unable to view videos": completion("I'm unable to view videos. However, it may show a dog."),
    "refusal in Chinese": completion("抱歉，我无法查看视频内容。"),
    "refusal field": completion(None, refusal="I cannot describe this."),
    "content filter": completion("A dog", finish="content_filter"),
    "disclaimer at the end": completion("A dog runs. I cannot identify the person behind it."),
    "echo of the prompt": completion(_PROMPT_MARK),
    "prompt, then text": completion(f"{_PROMPT_MARK} A dog runs."),
    "length limit after a sentence": completion("A dog runs. Then it turns to the", finish="length"),
    "length limit within the first": completion("A dog that turns to the", finish="length"),
    "one sentence in a loop": completion("A dog runs on grass. " * 40),
    "half a surrogate pair": completion("A dog \ud83d runs."),
    "control, zero-width, right-to-left": completion("A\u200b dog\u202e runs\x07.\u2028It stops."),
    "empty": completion(""),
    "null": completion(None),
    "blanks and N/A": completion(" N/A \n"),
    "Chinese": completion("一只狗在草地上奔跑。它停下来看着镜头。"),
    "Thai": completion("สุนัขวิ่งบนสนามหญ้า"),
    "2,000 tokens": completion(_long_text()),
}
"""Answers of status 200, by what is special about them."""

FAULTS: dict[str, Reply] = {
    "429 Retry-After 1": failure(429, "slow down", "rate_limit_exceeded", None, **{"Retry-After": "1"}),
    "500": failure(500, "internal error"),
    "502 HTML": Reply(502, b"<html>Bad Gateway</html>"),
    "503": Reply(503, b"no healthy upstream"),
    "504": Reply(504, b""),
    "520": Reply(520, b"<html>Web server returns an unknown error</html>"),
    "524": Reply(524, b"<html>A timeout occurred</html>"),
    "425": Reply(425, b"too early"),
    "error in 200": failure(500, "upstream failed", None, 200),
    "429 in 200": failure(429, "slow down", None, 200),
    "no choices": Reply(200, b'{"id": "x", "choices": []}'),
    "choices null": Reply(200, b'{"id": "x", "choices": null}'),
    "malformed JSON": Reply(200, b'{"choices": [{"mess'),
    "bad gzip": Reply(200, b"this is no gzip", {"Content-Encoding": "gzip"}),
    "closed socket": Reply(send="none"),
    "half a body": Reply(200, completion(GOOD).body, send="half"),
    "slow": Reply(200, completion(GOOD).body, wait_s=30.0),
    "one byte a second": Reply(200, b" " * 60, drip_s=0.5),
    "400 context length": failure(400, "maximum context length is 4096 tokens", "context_length_exceeded"),
    "400 content filter": failure(400, "flagged", "content_filter"),
    "413": Reply(413, b"too large"),
    "404 page": Reply(404, b"<html>Not Found</html>"),
    "404 model": failure(404, "the model 'x' does not exist", "model_not_found"),
    "401": failure(401, "invalid key", "invalid_api_key"),
    "429 insufficient_quota": failure(429, "you exceeded your quota", "insufficient_quota"),
    "301": Reply(301, b"", {"Location": "https://elsewhere.invalid/v1"}),
}
"""What a server or something before it does wrong, by name."""


class ChatServer(ThreadingHTTPServer):
    """Serves until `close`; use it as a context manager.

    Attributes:
        models: names in the model list; None answers 404 there.
        answer: request body -> Reply.
        list_reply: answer of the model list in place of `models`; None = the list.
        requests: (path, headers with names in lower case, body) of every chat request, in order of arrival.
        most_busy: most requests under way at once.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answer: Callable[[dict[str, Any]], Reply] | None = None, port: int = 0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer or (lambda _body: ANSWERS["plain text"])
        self.models: Sequence[str] | None = [MODEL]
        self.list_reply: Reply | None = None
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.lock, self.busy, self.most_busy = threading.Lock(), 0, 0
        self.closing = threading.Event()
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Base URL for the captioner's options."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def close(self) -> None:
        """Stop answering and free the port."""
        self.closing.set()
        self.shutdown()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):  # closed by the client
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that `close` ends it."""
        self._connections.append(request)
        super().process_request(request, client_address)

    def __enter__(self) -> "ChatServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves early is part of the play."""


def question_of(body: dict[str, Any]) -> str:
    """The text part of a request."""
    content = body["messages"][0]["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatServer

    def do_GET(self) -> None:
        server = self.server
        if server.list_reply is not None:
            self._send(server.list_reply)
        elif server.models is None:
            self._send(Reply(404, b"not found"))
        else:
            data = [{"id": name, "object": "model"} for name in server.models]
            self._send(Reply(200, json.dumps({"object": "list", "data": data}).encode()))

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.requests.append((self.path, headers, body))
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        try:
            reply = server.answer(body)
            if _PROMPT_MARK.encode() in reply.body:
                asked = json.dumps(question_of(body))[1:-1].encode()
                reply = Reply(reply.status, reply.body.replace(_PROMPT_MARK.encode(), asked), reply.headers)
            self._send(reply)
        finally:
            with server.lock:
                server.busy -= 1

    def _send(self, reply: Reply) -> None:
        self.server.closing.wait(reply.wait_s)
        if reply.send == "none":
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if reply.send == "half":
            self.wfile.write(reply.body[: len(reply.body) // 2])
            self.close_connection = True
        elif reply.drip_s:
            for byte in reply.body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                if self.server.closing.wait(reply.drip_s):
                    return
        else:
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def rotating(names: Sequence[str], every: int) -> Callable[[dict[str, Any]], Reply]:
    """Good answers, each numbered, and every `every`-th one a fault or odd answer, in turn."""
    known = FAULTS | ANSWERS
    lock, count = threading.Lock(), 0

    def answer(_body: dict[str, Any]) -> Reply:
        nonlocal count
        with lock:
            count += 1
            turn = count
        if names and turn % every == 0:
            return known[names[(turn // every - 1) % len(names)]]
        return completion(f"Take {turn}: {GOOD}")

    return answer


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--faults", default="", help=f"comma-separated: {', '.join([*FAULTS, *ANSWERS])}")
    parser.add_argument("--every", type=int, default=3, help="every n-th request meets a fault")
    given = parser.parse_args()
    names = [name for name in given.faults.split(",") if name]
    if unknown := [name for name in names if name not in FAULTS | ANSWERS]:
        parser.error(f"unknown: {', '.join(unknown)}")
    with ChatServer(rotating(names, given.every), given.port) as server:
        print(f"serving {MODEL} at {server.url}")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print(f"{len(server.requests)} requests")


if __name__ == "__main__":
    main()
