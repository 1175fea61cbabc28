"""A patient client of the chat protocol: retries what can heal, names who has to act on the rest."""

import email.utils
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mvideo_core.errors import ConfigError, MediaError, ModelError

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class ChatClient:
    """Keeps connections to one server open; safe to use from several threads.

    Args:
        base_url: up to and including "/v1".
        api_key: sent as a bearer token; "" sends none.
        timeout_s: longest wait for one answer.
        max_retries, backoff_s, max_backoff_s: see OpenAICompatibleOptions.
        connections: open connections at most.
    """

    def __init__(
        self, base_url: str, api_key: str, timeout_s: float, max_retries: int, backoff_s: float, max_backoff_s: float,
        connections: int,
    ):  # fmt: skip
        import httpx

        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"base_url {base_url!r}: http://host:port/v1 or https://... is expected")
        self.base_url = base_url.rstrip("/")
        self.max_retries, self.backoff_s, self.max_backoff_s = max_retries, backoff_s, max_backoff_s
        # A proxy set for the outside world must not swallow requests to this machine.
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 10.0)),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            trust_env=parts.hostname not in _LOOPBACK,
        )

    def find_model(self, wanted: str) -> str:
        """The model to ask for; a server without a model list is believed.

        Raises:
            ModelError: no answer, the model is not served, or none was named where the server has several.
        """
        reply = self._send("GET", "/models", None, "model list")
        served = [str(entry.get("id")) for entry in _models(reply)]
        if wanted and (wanted in served or not served):
            return wanted
        if not wanted and len(served) == 1:
            return served[0]
        problem = f"does not serve the model {wanted!r}" if wanted else "serves no single model; name one in `model`"
        raise ModelError(f"{self.base_url} {problem}; it lists: {', '.join(served) or '(none)'}")

    def complete(self, payload: dict[str, Any], key: str) -> str:
        """The text of the answer to one chat request.

        Args:
            payload: JSON body.
            key: clip key, for messages.

        Raises:
            MediaError: the server refused this content, or answered with no text.
            ModelError, ConfigError: see `_send`.
        """
        reply = self._send("POST", "/chat/completions", payload, key)
        if reply is None:
            raise ModelError(f"{self.base_url}/chat/completions: no such address (404); end base_url with /v1")
        return _text(reply, key)

    def _send(self, method: str, path: str, payload: dict[str, Any] | None, what: str) -> Any:
        """Decoded JSON of a good answer, None for a 404 without a JSON error; retried where that can help.

        Raises:
            ModelError: still no good answer after the last try, or the server does not know the model.
            ConfigError: the server rejects the key or the request. MediaError: it refuses this content.
        """
        seen = ""
        for attempt in range(self.max_retries + 1):
            reply, seen = self._try(method, path, payload)
            if reply is not None and reply.status_code not in RETRIED:
                if not reply.is_success:
                    return self._refusal(reply, what)
                try:
                    return reply.json()
                except ValueError:
                    seen = f"not JSON: {reply.text[:120]!r}"
            if attempt < self.max_retries:
                wait_s = self._wait_s(attempt, reply)
                log.warning("%s%s for %s: %s; try %d in %.1f s", self.base_url, path, what, seen, attempt + 2, wait_s)
                time.sleep(wait_s)
        raise ModelError(
            f"{self.base_url}{path}: no good answer for {what} after {self.max_retries + 1} tries; last: {seen}; "
            "check that the server runs and base_url is right"
        )

    def _try(self, method: str, path: str, payload: dict[str, Any] | None) -> tuple["httpx.Response | None", str]:
        import httpx

        try:
            reply = self._http.request(method, self.base_url + path, json=payload)
        except httpx.TransportError as error:
            return None, f"{type(error).__name__}: {error}"
        return reply, f"status {reply.status_code}: {reply.text[:200]}"

    def _wait_s(self, attempt: int, reply: "httpx.Response | None") -> float:
        asked_s = retry_after_s(reply.headers.get("Retry-After", ""), datetime.now(UTC)) if reply is not None else None
        return min(self.max_backoff_s, self.backoff_s * 2**attempt if asked_s is None else asked_s)

    def _refusal(self, reply: "httpx.Response", what: str) -> None:
        """Raises the error of who has to act on a 4xx; returns None only for a 404 that is no API error."""
        message, code = _error_of(reply)
        head = f"{self.base_url} for {what}: status {reply.status_code}: {message}"
        if "content_filter" in code or "content_policy" in code:
            raise MediaError(f"{head}; the server refuses this clip's content")
        if reply.status_code in (401, 403):
            raise ConfigError(f"{head}; give the name of the variable that holds a valid key in api_key_env")
        if reply.status_code == 404:
            if not code and not message:
                return
            raise ModelError(f"{head}; name a model that the server lists")
        raise ConfigError(f"{head}; the server rejects the request: check n_frames, max_side_px, max_tokens and model")


def retry_after_s(value: str, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header (seconds or an HTTP date); None when absent or unreadable."""
    value = value.strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, (when - now).total_seconds()) if when.tzinfo else None


def _models(reply: Any) -> list[dict[str, Any]]:
    data = reply.get("data") if isinstance(reply, dict) else None
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _error_of(reply: "httpx.Response") -> tuple[str, str]:
    """(message, code and type) of an API error; ("", "") when the body is not one. vLLM nests it, SGLang does not."""
    try:
        body = reply.json()
    except ValueError:
        return ("" if reply.status_code == 404 else reply.text[:200]), ""
    error = body.get("error", body) if isinstance(body, dict) else {}
    if isinstance(error, str):
        return error, ""
    error = error if isinstance(error, dict) else {}
    return str(
        error.get("message") or error.get("detail") or ""
    ), f"{error.get('code') or ''} {error.get('type') or ''}".strip()


def _text(reply: Any, key: str) -> str:
    """Text of the first choice.

    Raises:
        MediaError: refused, stopped by a content filter, or empty. ModelError: the answer has another shape.
    """
    try:
        choice = reply["choices"][0]
        message = choice["message"]
        content, refusal, finish = message.get("content"), message.get("refusal"), choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ModelError(f"{key}: the server's answer is no chat completion: {str(reply)[:200]}") from None
    if refusal or finish == "content_filter":
        raise MediaError(f"{key}: the model refused this clip: {refusal or 'stopped by the content filter'}")
    if not isinstance(content, str) or not content.strip():
        raise MediaError(f"{key}: the model answered with no text (finish_reason {finish})")
    return content
