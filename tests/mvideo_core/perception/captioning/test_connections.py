import asyncio
import ssl
import subprocess
import threading

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.curation.pipeline import PipelineOptions
from mvideo_core.perception.captioning.connections import open_http, read_key, refuse_secrets
from mvideo_core.perception.captioning.openai_compatible import OpenAICompatibleOptions
from tests.fixtures.chat_server import ChatServer


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:8000", "http://host:port/v1 or https://"),
        ("ftp://host/v1", "http://host:port/v1 or https://"),
        ("http://host:80a/v1", "port 1 to 65535"),
        ("http://host:70000/v1", "port 1 to 65535"),
        ("http:///v1", "http://host:port/v1"),
        ("http://ho st/v1", "http://host:port/v1"),
        ("http://host/v1?key=s3cret", "ends in a query"),
        ("http://user:s3cret@host/v1", "api_key_env"),
        ("http://s3cret@host/v1", "api_key_env"),
    ],
)
def test_an_address_is_right_or_refused_without_its_secrets(url, words):
    with pytest.raises(ConfigError, match=words) as told:
        OpenAICompatibleOptions.parse({"base_url": url})
    assert "s3cret" not in str(told.value)


def test_a_last_slash_does_not_matter():
    assert OpenAICompatibleOptions(base_url="http://host:8000/v1/").base_url == "http://host:8000/v1"


@pytest.mark.parametrize("value", ["sk-s3cret", "gsk_s3cret9", "my key", "s3cret" * 20])
def test_a_key_in_place_of_its_variables_name_is_refused_and_not_shown(value):
    with pytest.raises(ConfigError, match="not the key itself") as told:
        OpenAICompatibleOptions.parse({"api_key_env": value})
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    "values",
    [
        {"api_key": "s3cret"},
        {"extra_body": {"api_key": "s3cret"}},
        {"extra_body": {"headers": [{"Authorization": "Bearer s3cret"}]}},
    ],
)
def test_keys_have_no_place_in_options(values):
    with pytest.raises(ConfigError, match=r"(api_key|Authorization): options are stored") as told:
        refuse_secrets(values)
    assert "s3cret" not in str(told.value)
    with pytest.raises(ConfigError, match=r"captioner_options\.\S*(api_key|Authorization)") as told:
        PipelineOptions.parse({"caption": {"captioner": "openai_compatible", "captioner_options": values}})
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize("place", [{"api_key": "s3cret"}, {"captioner_options": {"key": "s3cret"}}])
def test_a_key_under_an_unknown_name_is_not_shown_either(place):
    with pytest.raises(ConfigError, match=r"Extra inputs are not permitted; seen \(not shown\)") as told:
        PipelineOptions.parse({"caption": {"captioner": "openai_compatible", **place}})
    assert "s3cret" not in str(told.value)
    with pytest.raises(ConfigError, match="seen -1"):
        PipelineOptions.parse({"caption": {"max_tokens": -1}})


def test_options_that_only_sound_like_secrets_are_fine():
    refuse_secrets({"max_tokens": 5, "max_completion_tokens": 5, "api_key_env": "KEY", "tokenizer_dir": "/x"})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "is not set"),
        (" \n", "is not set"),
        ("“sk-s3cret”", r"U\+201C as character 1"),
        ('"sk-s3cret"', r"U\+0022 as character 1"),
        ("sk-s3\ncret", r"U\+000A as character 6"),
        ("sk s3cret", r"U\+0020 as character 3"),
    ],
)
def test_a_malformed_key_is_refused_and_not_shown(value, words, monkeypatch):
    monkeypatch.setenv("CAPTION_KEY", value)
    with pytest.raises(ConfigError, match=words) as told:
        read_key("CAPTION_KEY")
    assert "s3" not in str(told.value)


def test_an_unset_variable_is_named(monkeypatch):
    monkeypatch.delenv("CAPTION_KEY", raising=False)
    with pytest.raises(ConfigError, match="api_key_env is CAPTION_KEY, which is not set"):
        read_key("CAPTION_KEY")
    assert read_key("") == ""


@pytest.mark.parametrize(
    ("proxy", "words"),
    [("socks5://u:s3cret@127.0.0.1:1080", "pip install socksio"), ("http://host:80a", "not a valid address")],
)
def test_a_proxy_that_cannot_be_used_is_one_line(proxy, words, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match=words) as told:
        open_http("http://elsewhere.invalid/v1", 1.0, 1, "")
    assert "s3cret" not in str(told.value)
    assert "\n" not in str(told.value)
    open_http("http://127.0.0.1:8000/v1", 1.0, 1, "")  # this machine is asked without a proxy


def test_a_ca_file_that_is_none_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        open_http("https://host/v1", 1.0, 1, str(tmp_path / "absent.pem"))
    (tmp_path / "bad.pem").write_text("not a certificate")
    with pytest.raises(ConfigError, match="no PEM certificates"):
        open_http("https://host/v1", 1.0, 1, str(tmp_path / "bad.pem"))


def test_a_server_with_its_own_certificate_needs_and_uses_the_ca_file(tmp_path):
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ChatServer() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        options = OpenAICompatibleOptions(base_url=f"https://localhost:{server.server_port}/v1")
        with pytest.raises(ConfigError, match="ca_file"):
            options.reach()
        options.model_copy(update={"ca_file": str(certificate)}).reach()


def test_the_deadline_is_for_the_whole_answer():
    import httpx2

    from tests.fixtures.chat_server import FAULTS

    async def get(url):
        async with open_http(url, 1.2, 1, "") as http:
            await http.post(f"{url}/chat/completions", json={"messages": [{"content": ""}]})

    with ChatServer(lambda _body: FAULTS["one byte a second"]) as server:  # a byte each 0.5 s: no single read is late
        done = threading.Event()
        with pytest.raises(httpx2.ReadTimeout, match="complete answer"):
            asyncio.run(asyncio.wait_for(get(server.url), 5))
        done.set()
