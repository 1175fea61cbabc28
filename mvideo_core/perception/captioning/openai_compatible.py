"""Captions from any server with OpenAI's chat API: vLLM, SGLang (NVILA, VILA), or a paid service.

The model sees a few frames of each clip. They are sent to `/v1/chat/completions` as `image_url` parts with base64 data
URLs, as vLLM and SGLang expect.

- **Keys**: options are stored with the dataset, so they must not contain a key. A key in `api_key`, `extra_body`,
  `base_url`, or in place of the variable's name in `api_key_env`, is refused before anything is written, and the
  message does not show it. If a server's answer contains the key, messages show `***` instead.
- **Before a run**, a missing server, a rejected key or an unknown model is an error. A server that is still loading
  (503) is accepted. The proxy variables of the [environment](environment.md) apply, except to a server on this machine.
- **During a run**, the `openai` client retries requests and respects `Retry-After` (two minutes at most). While the
  server is down or loading, the stage waits up to `load_timeout_s`. A clip that still fails becomes a `failed` row.
- **If 8 clips in a row fail** (more with a higher `concurrency`), the stage stops and does not mark them as failed. The
  error is `ConfigError` if the server rejects every request. Otherwise it is `ServerUnavailable`, and Prefect retries
  the task.
"""

import asyncio
import base64
import io
from collections.abc import Generator, Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import ConfigDict, Field, field_validator

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options as AnyOptions
from mvideo_core.base.records import ObjectPhrase
from mvideo_core.perception.captioning.asking import Asking
from mvideo_core.perception.captioning.base import CAPTIONERS, CaptionerOptions, CaptionInput, Outcome, Question
from mvideo_core.perception.captioning.chat_client import ChatClient, Server
from mvideo_core.perception.captioning.connections import (
    check_url,
    check_variable,
    open_http,
    read_key,
    refuse_secrets,
)
from mvideo_core.perception.captioning.marked import caption_and_phrases
from mvideo_core.perception.captioning.prompt import DEFAULT_PROMPT, prompt_digest, question

PROBE_S = 5.0
"""How long the preflight check waits for the server."""


class OpenAICompatibleOptions(CaptionerOptions):
    """Server, model, and rate and retry settings."""

    model_config = ConfigDict(hide_input_in_errors=True)  # the input may contain a key
    not_content: ClassVar[tuple[str, ...]] = (
        "base_url", "api_key_env", "ca_file", "concurrency", "timeout_s", "max_retries", "load_timeout_s",
    )  # fmt: skip

    base_url: str = Field(
        default="http://127.0.0.1:8000/v1", description="address up to and including /v1; vLLM 8000, SGLang 30000"
    )
    model: str = Field(default="", description="model name as listed by the server; empty = the server's only model")
    api_key_env: str = Field(
        default="", description="name of the environment variable with the API key; empty = send none"
    )
    ca_file: str = Field(
        default="", description="CA certificate (PEM) for the server's certificate; empty = system defaults"
    )
    prompt: str = Field(default=DEFAULT_PROMPT, min_length=1, description="prompt sent with every clip")
    name_objects: bool = Field(default=False, description="add the detected class names to the prompt")
    n_frames: int = Field(
        default=8, ge=1, le=128, description="frames sent per clip, evenly spaced; more frames use more prompt tokens"
    )
    max_side_px: int = Field(default=720, ge=64, le=4096, description="maximum longer side of the frames sent, pixels")
    jpeg_quality: int = Field(default=90, ge=1, le=100, description="JPEG quality of the frames sent")
    temperature: float | None = Field(
        default=0.0, ge=0, le=2, description="sampling temperature, 0 = greedy; null omits it from the request"
    )
    seed: int | None = Field(default=0, description="sampling seed; servers may ignore it; null omits it")
    max_tokens: int | None = Field(
        default=256, ge=1, le=65536, description="maximum length of the answer, in the server's tokens; null omits it"
    )
    extra_body: dict[str, Any] = Field(
        default={},
        description="additional request fields, e.g. {chat_template_kwargs: {enable_thinking: false}}",
    )
    concurrency: int = Field(default=8, ge=1, le=256, description="concurrent requests from this captioner")
    timeout_s: float = Field(default=120.0, gt=0, description="timeout for one complete answer, seconds")
    max_retries: int = Field(
        default=5, ge=0, le=50, description="retries after 408, 409, 429, 5xx, a broken answer or no answer"
    )
    load_timeout_s: float = Field(
        default=600.0, ge=0, description="how long to wait for a server that is loading or restarting, seconds"
    )

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str) -> str:
        return check_url(value)

    @field_validator("api_key_env")
    @classmethod
    def _variable(cls, value: str) -> str:
        return check_variable(value)

    @field_validator("extra_body")
    @classmethod
    def _no_secrets(cls, value: dict[str, Any]) -> dict[str, Any]:
        refuse_secrets(value, "extra_body.")
        return value

    def check(self) -> None:
        """Raise ConfigError if the key is unset or malformed, or certificates or proxy cannot be used."""
        read_key(self.api_key_env)
        open_http(self.base_url, self.timeout_s, 1, self.ca_file)

    def reach(self) -> None:
        """Raise ServerUnavailable, ConfigError or ModelError if the server cannot be used; one short request."""

        async def look() -> None:
            client = open_client(self.model_copy(update={"timeout_s": min(self.timeout_s, PROBE_S)}))
            try:
                await client.probe(self.model)
            finally:
                await client.close()

        asyncio.run(look())

    def server(self) -> Server:
        """Connection settings, with the key from the environment."""
        return Server(
            self.base_url, self.timeout_s, self.max_retries, self.load_timeout_s, read_key(self.api_key_env)
        )  # fmt: skip


def open_client(options: OpenAICompatibleOptions) -> ChatClient:
    """A client for the running event loop. Raises ConfigError: key, certificates or proxy cannot be used."""
    http = open_http(options.base_url, options.timeout_s, options.concurrency, options.ca_file)
    return ChatClient(options.server(), http)


@CAPTIONERS.register("openai_compatible")
class OpenAICompatibleCaptioner:
    """Sends a few frames of each clip with one prompt; clips are independent, with many requests in flight."""

    Options: ClassVar[type[AnyOptions]] = OpenAICompatibleOptions
    batch_clips = 256

    def __init__(self, options: OpenAICompatibleOptions, asking: Asking):
        self.options, self.asking = options, asking
        self.model_name = asking.model
        self.needs_frames = options.n_frames
        self.prompt_sha256 = prompt_digest(options.prompt, options.name_objects, options.n_frames)

    @classmethod
    def load(cls, options: AnyOptions, device: str = "cpu") -> Self:
        """Connect to a server that serves the model; `device` is not used.

        Raises:
            ConfigError: the API key's variable is not set, or the server rejects the key.
            ModelError: no answer at `base_url`, or the server does not serve the model.
        """
        checked = OpenAICompatibleOptions.model_validate(options.model_dump())
        return cls(checked, Asking(lambda: open_client(checked), checked.model, checked.concurrency))

    @classmethod
    def tiny(cls) -> Self:
        """Not available: this captioner is a client; its test starts a small server instead."""
        raise ConfigError("openai_compatible has no tiny model: start a server and set base_url")

    def question(self, clip: CaptionInput) -> str:
        """The prompt sent with a clip's frames."""
        return question(self.options.prompt, self.options.name_objects, clip)

    def caption(self, inputs: Sequence[CaptionInput]) -> Iterator[tuple[int, Outcome]]:
        """One outcome per clip as answers arrive; MediaError if the server fails for that clip only.

        Raises:
            ServerUnavailable: the server no longer answers. ConfigError, ModelError: it answers, but rejects requests.
        """
        yield from self._ask([self._about(clip) for clip in inputs])

    def caption_objects(self, inputs: Sequence[CaptionInput]) -> Iterator[tuple[int, Outcome, list[ObjectPhrase]]]:
        """Captions and phrases as answers arrive; the objects are numbered in the frames of a second request.

        Raises:
            ServerUnavailable, ConfigError, ModelError: as `caption`.
        """
        yield from caption_and_phrases(self._ask, self._about, inputs, self.options.n_frames)

    def _ask(self, questions: Sequence[Question]) -> Generator[tuple[int, Outcome], None, None]:
        yield from self.asking.ask([one.key for one in questions], lambda n: self._payload(questions[n]))

    def _about(self, clip: CaptionInput) -> Question:
        return Question(clip.key, lambda: (clip.sample(self.options.n_frames), self.question(clip)))

    def _payload(self, asked: Question) -> dict[str, Any]:
        options = self.options
        frames_THWC, text = asked.make()
        parts: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": jpeg_data_url(frame, options.max_side_px, options.jpeg_quality)}}
            for frame in frames_THWC
        ]
        parts.append({"type": "text", "text": text})
        limit = options.max_tokens and max(options.max_tokens, asked.min_tokens)
        chosen = {"temperature": options.temperature, "seed": options.seed, "max_tokens": limit}
        return {
            "model": self.model_name,
            "messages": [{"role": "user", "content": parts}],
            **{name: value for name, value in chosen.items() if value is not None},
            **({"extra_body": options.extra_body} if options.extra_body else {}),
        }


def jpeg_data_url(frame_HWC: np.ndarray, max_side_px: int, quality: int) -> str:
    """A frame as a `data:image/jpeg;base64,` URL.

    Args:
        frame_HWC: uint8 RGB.
        max_side_px: maximum longer side; smaller frames are unchanged.
        quality: 1 to 100.
    """
    from PIL import Image

    image = Image.fromarray(frame_HWC)
    image.thumbnail((max_side_px, max_side_px))
    held = io.BytesIO()
    image.save(held, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()
