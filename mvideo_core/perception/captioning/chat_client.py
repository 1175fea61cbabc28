"""Chat requests through the `openai` client, plus what a caption run needs on top of it.

The client retries, honors Retry-After, and keeps connections open. This module adds: a deadline per attempt (the
client's applies to one read), detection of status-200 answers without a completion, waiting for a server that is still
loading its model, and errors classified by who has to act.
"""

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from mvideo_core.base.errors import ConfigError, MediaError, ModelError, ServerUnavailable
from mvideo_core.perception.captioning.base import Answer

if TYPE_CHECKING:
    import httpx2
    import openai

log = logging.getLogger(__name__)

POLL_S = 1.0
SAY_EVERY_S = 15.0
MAX_RETRY_AFTER_S = 120
"""Longer Retry-After values are shortened to this; otherwise the client would give up."""
NO_COMPLETION = "x-mvideo-sent-as"
"""Header with the original status of an answer whose status `due_status` changed."""
PAID_OUT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated"})
_LENGTH = frozenset({"length", "max_tokens", "model_length"})


class RequestFailed(MediaError):
    """One clip's request failed after all retries, although the server is up.

    Attributes:
        rejected: the server rejected the request (4xx), so retrying cannot help.
    """

    def __init__(self, message: str, rejected: bool):
        super().__init__(message)
        self.rejected = rejected


class Server(NamedTuple):
    """Address and timeouts of a server; fields as in OpenAICompatibleOptions."""

    base_url: str
    timeout_s: float
    max_retries: int
    load_timeout_s: float
    key: str = ""


class ChatClient:
    """Requests to one server, from one event loop.

    Args:
        http: connections, proxies and certificates; see `connections.open_http`.
    """

    def __init__(self, server: Server, http: "httpx2.AsyncClient"):
        import openai

        self.server = server
        self.answered = 0
        self._said_at = 0.0
        # The placeholder keeps the client from reading OPENAI_API_KEY, which belongs to another server.
        self._openai = openai.AsyncOpenAI(
            api_key=server.key or "none", base_url=server.base_url, http_client=http, timeout=http.timeout,
            max_retries=server.max_retries,
        )  # fmt: skip
        self._openai.organization = self._openai.project = None  # from OPENAI_ORG_ID, also for another server
        self._headers: Any = {} if server.key else {"Authorization": openai.omit}
        self._listing: Any = {"headers": self._headers, "max_retries": 0}

    async def find_model(self, wanted: str) -> str:
        """The model to request, once the server is ready; without a model list, the requested name is used.

        Raises:
            ServerUnavailable: no answer within `load_timeout_s`. ConfigError: the key is rejected.
            ModelError: the model is not served, or none was given and the server has several.
        """
        return self._choose_model(
            wanted, await self._list_models(time.monotonic() + self.server.load_timeout_s, not wanted)
        )

    def _choose_model(self, wanted: str, served: list[str]) -> str:
        if wanted and (wanted in served or not served):
            return wanted
        if not wanted and len(served) == 1:
            return served[0]
        problem = f"does not serve the model {wanted!r}" if wanted else "serves several models or none; set `model`"
        raise ModelError(f"{self.server.base_url} {problem}; it lists: {', '.join(served) or '(none)'}")

    async def complete(self, payload: dict[str, Any], key: str) -> Answer:
        """The answer to one chat request.

        If the server is down or loading, the request waits up to `load_timeout_s` and is resent.

        Args:
            payload: arguments of `chat.completions.create`.
            key: clip key, for messages.

        Raises:
            RequestFailed: the server does not answer this request. ServerUnavailable: it does not answer at all.
            ModelError: the account has no credit left. ConfigError: the key or address is rejected.
        """
        import openai

        started, rounds = 0.0, 0
        while True:
            try:
                reply = await self._openai.chat.completions.with_raw_response.create(
                    **payload, extra_headers=self._headers
                )
            except openai.APIError as error:
                if _is_filtered(error):
                    return Answer("", refusal=self._what(error))
                rounds += 1
                started = started or time.monotonic()
                if not _may_be_loading(error):
                    raise self._failure(error, key, rounds) from error
                until = started + self.server.load_timeout_s
                await self._list_models(until, patient=False)
                of_the_clip = self.answered > 0 or isinstance(error, openai.APIConnectionError)
                if time.monotonic() >= until or (rounds > 1 and of_the_clip):
                    raise self._failure(error, key, rounds) from error
                await asyncio.sleep(POLL_S)
            else:
                self.answered += 1
                return _answer(json.loads(reply.content))

    async def close(self) -> None:
        """Close all connections."""
        await self._openai.close()

    async def probe(self, wanted: str) -> None:
        """Query the model list once, without waiting: a server that answers at all, even "loading", is up.

        Raises:
            ServerUnavailable: no answer. ConfigError: the key or address is rejected.
            ModelError: the server lists its models and this one is missing.
        """
        import openai

        try:
            reply = await self._openai.get("/models", cast_to=object, options=self._listing)
            if served := _names(reply):
                self._choose_model(wanted, served)
        except openai.APIConnectionError as error:
            raise self._failure(error, "the model list") from error
        except openai.APIStatusError as error:
            if error.status_code in (401, 403) or 300 <= error.status_code < 400:
                raise self._failure(error, "the model list") from error

    async def _list_models(self, until: float, patient: bool) -> list[str]:
        """Names of the served models, once the server answers; [] if it has no list.

        Args:
            until: `time.monotonic()` after which ServerUnavailable is raised.
            patient: treat a 404 as a server that is still loading, not as a server without a list.
        """
        import openai

        while True:
            try:
                return _names(await self._openai.get("/models", cast_to=object, options=self._listing))
            except openai.APIError as error:
                if isinstance(error, openai.APIStatusError) and error.status_code in (404, 405, 501) and not patient:
                    return []
                if not _may_be_loading(error, any_5xx=True):
                    raise self._failure(error, "the model list") from error
                if time.monotonic() >= until:
                    raise ServerUnavailable(
                        f"{self.server.base_url}: not ready after {self.server.load_timeout_s:g} s "
                        f"({self._what(error)}); check that the server is running and base_url is correct"
                    ) from error
                self._say(f"{self._what(error)}; waiting for the server, up to {until - time.monotonic():.0f} s more")
            except ValueError:
                return []
            await asyncio.sleep(min(POLL_S, max(0.0, until - time.monotonic())))

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if now - self._said_at > SAY_EVERY_S:
            self._said_at = now
            log.warning("%s: %s", self.server.base_url, text)

    def _failure(self, error: "openai.APIError", what: str, rounds: int = 0) -> Exception:
        """Convert to an error that says who has to act.

        Args:
            what: clip key, or "the model list".
            rounds: how often the client has used up all its retries; 0 for the model list.
        """
        import openai

        head = f"{self.server.base_url} for {what}: {self._what(error)}"
        tried = RequestFailed(f"{head}; {rounds * (self.server.max_retries + 1)} tries", rejected=False)
        if isinstance(error, openai.APIConnectionError):
            if "certificate" in str(error.__cause__).lower():
                return ConfigError(f"{head}; set ca_file to the CA certificate that signed it")
            return (
                tried
                if rounds
                else ServerUnavailable(f"{head}; check that the server is running and base_url is correct")
            )
        status = error.status_code if isinstance(error, openai.APIStatusError) else 0
        code = f"{error.code or ''} {error.type or ''}"
        if not PAID_OUT.isdisjoint(code.split()) or status == 402:
            return ModelError(f"{head}; the account has no credit left: add credit, then rerun")
        if status in (401, 403):
            return ConfigError(f"{head}; set api_key_env to the name of a variable with a valid key")
        if 300 <= status < 400:
            return ConfigError(f"{head}; the server redirects: set base_url to the final address")
        if status == 404 and not (error.message and isinstance(error.body, dict)):
            return RequestFailed(f"{head}; no such address: base_url should end in /v1", rejected=True)
        if status == 404:
            return ModelError(f"{head}; set model to one that the server lists")
        if 400 <= status < 500 and status not in (408, 409, 425, 429):
            return RequestFailed(f"{head}; check n_frames, max_side_px, max_tokens and model", rejected=True)
        return tried

    def _what(self, error: "openai.APIError") -> str:
        """The problem in one line, without the key."""
        import openai

        if isinstance(error, openai.APITimeoutError) and not _is_unreachable(error):
            text = f"no complete answer within {self.server.timeout_s:g} s"
        elif isinstance(error, openai.APIStatusError):
            unlike = error.response.headers.get(NO_COMPLETION)
            text = f"status {unlike} without a completion" if unlike else f"status {error.status_code}"
            text = f"{text}: {_message(error)}"
        else:
            cause = error.__cause__
            text = f"{type(cause).__name__}: {cause}" if cause is not None else str(error)
        text = " ".join(text.split())[:300]
        return text.replace(self.server.key, "***") if self.server.key else text


def due_status(content: bytes) -> int:
    """The status an answer sent with 200 should have: 200 for a completion, otherwise its error's status, or 500."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return 500
    if isinstance(body, dict) and body.get("error"):
        code = body["error"].get("code") if isinstance(body["error"], dict) else None
        return int(str(code)) if str(code).isdecimal() and 400 <= int(str(code)) < 600 else 500
    try:
        return 200 if isinstance(body["choices"][0]["message"], dict) else 500
    except (KeyError, IndexError, TypeError):
        return 500


def is_paid_out(content: bytes) -> bool:
    """Whether an error says that the account has no credit, so that waiting cannot help."""
    try:
        error = json.loads(content).get("error")
        return not PAID_OUT.isdisjoint({str(error.get("code")), str(error.get("type"))})
    except (ValueError, AttributeError, RecursionError):
        return False


def _is_filtered(error: "openai.APIError") -> bool:
    """Whether the server refuses the content of the frames."""
    code = f"{error.code or ''} {error.type or ''}"
    return "content_filter" in code or "content_policy" in code


def _may_be_loading(error: "openai.APIError", any_5xx: bool = False) -> bool:
    """Whether this error is typical of a server that is starting, restarting or loading its model."""
    import openai

    if isinstance(error, openai.APIConnectionError):
        late = isinstance(error, openai.APITimeoutError) and not _is_unreachable(error)
        return not late and not _is_lasting(error.__cause__)
    if isinstance(error, openai.APIStatusError):
        no_api = not isinstance(error.body, dict)
        return error.status_code in (502, 503, 504) or (error.status_code == 404 and no_api) or (
            any_5xx and error.status_code in (429, *range(500, 600))
        )  # fmt: skip
    return False


def _is_unreachable(error: BaseException) -> bool:
    """Whether no connection could be made in time."""
    import httpx2

    return isinstance(error.__cause__, httpx2.ConnectTimeout)


def _is_lasting(cause: BaseException | None) -> bool:
    """Whether a connection error has a cause other than an absent server: bad certificate, malformed content."""
    import httpx2

    return isinstance(cause, (httpx2.DecodingError, httpx2.UnsupportedProtocol)) or "certificate" in str(cause).lower()


def _answer(body: dict[str, Any]) -> Answer:
    choice = body["choices"][0]
    message = choice["message"]
    finish, refusal = str(choice.get("finish_reason") or ""), message.get("refusal")
    if finish == "content_filter" and not refusal:
        refusal = "stopped by the content filter"
    model = body.get("model")
    return Answer(
        text=_text(message.get("content")), model=model if isinstance(model, str) else "",
        truncated=finish.lower() in _LENGTH, refusal=str(refusal or ""),
    )  # fmt: skip


def _text(content: Any) -> str:
    """The text of a message, which may be a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = (
            part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | dict)
        )
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def _message(error: "openai.APIStatusError") -> str:
    """The server's message without the client's wrapping; vLLM nests it, SGLang does not."""
    body = error.body
    if isinstance(body, dict):
        return str(body.get("message") or body.get("detail") or json.dumps(body)[:200])
    return str(body if body is not None else error.response.text)[:200] or "(no text)"


def _names(reply: Any) -> list[str]:
    data = reply.get("data") if isinstance(reply, dict) else None
    return [str(entry["id"]) for entry in data or [] if isinstance(entry, dict) and "id" in entry]
