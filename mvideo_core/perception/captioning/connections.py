"""Connections for the chat client: addresses, keys, certificates, proxies, and a deadline per attempt.

Option checks raise ConfigError, not ValueError: pydantic would quote the value, which may be a key.
"""

import asyncio
import os
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mvideo_core.base.errors import ConfigError
from mvideo_core.perception.captioning.chat_client import MAX_RETRY_AFTER_S, NO_COMPLETION, due_status, is_paid_out

if TYPE_CHECKING:
    import httpx2

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_SECRET = re.compile(r"(?i)api[-_]?key$|token$|secret|password|passwd|authorization|bearer|credential")


def check_url(base_url: str) -> str:
    """Check an address and strip its trailing slash.

    Raises:
        ConfigError: not http(s)://host[:port]/path, or it contains a user, password, query or spaces.
    """
    parts = urlsplit(base_url)
    if "@" in parts.netloc:
        raise ConfigError("base_url contains a user or password; export the key and set api_key_env to its variable")
    if parts.query or parts.fragment:
        raise ConfigError("base_url ends in a query or fragment; give only the address up to /v1")
    try:
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known or re.search(r"\s", base_url):
        raise ConfigError(f"base_url {base_url!r}: expected http://host:port/v1 or https://..., port 1 to 65535")
    return base_url.rstrip("/")


def check_variable(name: str) -> str:
    """Check the name of an environment variable; "" is allowed.

    Raises:
        ConfigError: not a valid name. The value is not shown: it may be the key itself.
    """
    if name and not _VARIABLE.fullmatch(name):
        raise ConfigError(
            "api_key_env must be the name of a variable (A-Z, 0-9, _), not the key itself; "
            "export CAPTION_KEY=... and set api_key_env: CAPTION_KEY"
        )
    return name


def refuse_secrets(values: Any, where: str = "") -> None:
    """Raise ConfigError if a mapping, or a nested one, has a field named like a secret."""
    if isinstance(values, dict):
        for name, value in values.items():
            if _SECRET.search(str(name)) and isinstance(value, str) and value:
                raise ConfigError(
                    f"{where}{name}: options are stored with the dataset, so they must not contain a key; "
                    "put the key into an environment variable and set api_key_env to its name"
                )
            refuse_secrets(value, f"{where}{name}.")
    elif isinstance(values, list):
        for value in values:
            refuse_secrets(value, where)


def read_key(variable: str) -> str:
    """The key in an environment variable, stripped of surrounding whitespace; "" if no variable is given.

    Raises:
        ConfigError: unset, empty, or with an invalid character; the message does not show the key.
    """
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"api_key_env is {variable}, which is not set; export it or leave the option empty")
    for at, character in enumerate(key, 1):
        if not "!" <= character <= "~" or character in "\"'`":
            raise ConfigError(
                f"{variable} (from api_key_env) has U+{ord(character):04X} as character {at}; a key is plain ASCII "
                "without spaces or quotes: copy it again"
            )
    return key


def open_http(base_url: str, timeout_s: float, connections: int, ca_file: str) -> "httpx2.AsyncClient":
    """Connections for the chat client.

    Raises:
        ConfigError: `ca_file` cannot be read, or the proxy from the environment cannot be used.
    """
    import httpx2

    verify: ssl.SSLContext | bool = True
    if ca_file:
        verify = _context(ca_file)
    # A proxy for the internet must not intercept requests to this machine.
    outside = urlsplit(base_url).hostname not in _LOOPBACK
    try:
        return _client_class()(
            verify=verify, timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, 10.0)), trust_env=outside,
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
        )  # fmt: skip
    except ImportError:
        raise ConfigError(
            "the proxy in ALL_PROXY, HTTPS_PROXY or HTTP_PROXY is a SOCKS proxy, which needs an extra package: "
            "pip install socksio, or unset the variable, or add the host to NO_PROXY"
        ) from None
    except (ValueError, httpx2.InvalidURL) as error:
        raise ConfigError(
            f"the proxy in ALL_PROXY, HTTPS_PROXY or HTTP_PROXY is not a valid address ({type(error).__name__}); "
            "use http://host:port, or unset the variable"
        ) from None
    except OSError as error:  # SSL_CERT_FILE
        raise ConfigError(f"certificates cannot be read: {error}; check SSL_CERT_FILE and SSL_CERT_DIR") from None


def _context(ca_file: str) -> ssl.SSLContext:
    if not Path(ca_file).is_file():
        raise ConfigError(
            f"ca_file {ca_file!r}: no such file; set it to the CA certificate (PEM) that signed the server's"
        )
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"ca_file {ca_file!r}: no PEM certificates in it ({error})") from None


def _client_class() -> "type[httpx2.AsyncClient]":
    """httpx2's client with a deadline per attempt, and with statuses that the retries of `openai` understand."""
    import httpx2

    class AttemptClient(httpx2.AsyncClient):
        async def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
            try:
                async with asyncio.timeout(self.timeout.read):
                    response = await super().send(request, **kwargs)
                    await response.aread()
            except TimeoutError:
                raise httpx2.ReadTimeout("the complete answer did not arrive in time", request=request) from None
            return _check_answer(response, request.url.path.endswith("/chat/completions"))

    return AttemptClient


def _check_answer(response: "httpx2.Response", completion: bool) -> "httpx2.Response":
    """Fix the answer's status and headers."""
    if response.status_code == 200 and completion:
        response.status_code = due_status(response.content)
        if response.status_code != 200:
            response.headers[NO_COMPLETION] = "200"
    if response.status_code != 200 and is_paid_out(response.content):
        response.headers["x-should-retry"] = "false"
    elif response.status_code == 425:
        response.headers["x-should-retry"] = "true"
    elif response.headers.get("retry-after", "").strip().isdigit():
        seconds = min(int(response.headers["retry-after"]), MAX_RETRY_AFTER_S)
        response.headers["retry-after"] = str(seconds)
    return response
