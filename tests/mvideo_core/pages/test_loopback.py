"""Every wrong request to a loopback server is answered with a 4xx and one line of JSON; the server logs no error."""

import json
import logging
import socket
import threading
from http import HTTPStatus

import pytest

from mvideo_core.pages import loopback
from mvideo_core.pages.loopback import LoopbackHandler, LoopbackServer

MOST = 1 << 20


class Handler(LoopbackHandler):
    max_body_bytes = MOST
    proof_header = "X-Proof"

    def answer_get(self, path, query):
        self.answer(HTTPStatus.OK if path == "/" else HTTPStatus.NOT_FOUND, b"{}", "application/json")

    def answer_post(self, path, asked):
        self.answer_with(lambda: asked)


class Server(LoopbackServer):
    command = "mvideo test"


@pytest.fixture(scope="module")
def server():
    with Server(0, Handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def send(server, first: str, body: bytes = b"", **headers: str | None) -> tuple[int, str]:
    """Status and body of the answer to a raw request; all of `body` is sent before the answer is read."""
    port = server.server_address[1]
    usual = {"Host": f"127.0.0.1:{port}", "X-Proof": server.token, "Content-Length": str(len(body))}
    given = usual | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{first} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value is not None)]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        answer = connection.makefile("rb").read()
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), content.decode()


LONG = "9" * 5000
WRONG = {
    "no JSON": (400, "got b'nonsense'", "POST /x", b"nonsense", {}),
    "a list": (400, "expected a JSON object, got b'[1]'", "POST /x", b"[1]", {}),
    "no UTF-8": (400, "expected a JSON object", "POST /x", b'{"a":"\xff"}', {}),
    "nested too deep": (400, "recursion", "POST /x", b'{"a":' * 100_000, {}),
    "a number of 5000 digits": (400, "Exceeds the limit", "POST /x", b'{"a":' + LONG.encode() + b"}", {}),
    "no length": (411, "Content-Length is ''", "POST /x", b"", {"Content_Length": None}),
    "a length in words": (411, "Content-Length is 'ten'", "POST /x", b"", {"Content_Length": "ten"}),
    "a length below 0": (411, "Content-Length is '-1'", "POST /x", b"", {"Content_Length": "-1"}),
    "a length of 5000 digits": (413, "too many bytes", "POST /x", b"", {"Content_Length": LONG}),
    "8 MB, sent whole": (413, "a body of 8388608 bytes; at most 1048576", "POST /x", b"x" * (8 << 20), {}),
    "another origin": (403, "only the page of `mvideo test`", "POST /x", b"{}", {"Origin": "https://example.org"}),
    "another host": (403, "not this server's name", "POST /x", b"{}", {"Host": "rebound.example"}),
    "no token": (403, "its token is missing", "POST /x", b"{}", {"X_Proof": None}),
    "an address that is none": (400, "'http://[x' is not valid", "GET http://[x", b"", {}),
    "an unknown method": (405, "Unsupported method ('PUT')", "PUT /", b"", {}),
    "an address without end": (414, "Too Long", f"GET /{'a' * 70_000}", b"", {}),
    "200 headers": (431, "Too many headers", "GET /", b"", {f"X{n}": "1" for n in range(200)}),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_requests(server, name, caplog, monkeypatch):
    monkeypatch.setattr(loopback, "DRAIN_S", 0.5)
    wanted, words, first, body, headers = WRONG[name]
    with caplog.at_level(logging.WARNING):
        status, content = send(server, first, body, **headers, Connection="close")
    assert (status, list(json.loads(content))) == (wanted, ["error"])
    assert words in content
    assert "\n" not in content
    assert caplog.records == []


def test_a_head_request_is_refused_without_a_body(server):
    assert send(server, "HEAD /") == (405, "")


def test_a_right_request_is_answered(server):
    assert send(server, "POST /x", b'{"a": 1}', Connection="close") == (200, '{"a": 1}')
