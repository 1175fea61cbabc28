"""Captions from any server that speaks OpenAI's chat protocol: vLLM, SGLang (NVILA, VILA), or a paid service.

Protocol: `/v1/chat/completions` with `image_url` parts that hold base64 data URLs, as vLLM and SGLang take them.
"""

import asyncio
import base64
import io
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import ConfigDict, Field, field_validator

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options as AnyOptions
from mvideo_core.perception.captioning.asking import Asking
from mvideo_core.perception.captioning.base import CAPTIONERS, CaptionerOptions, CaptionInput, Outcome
from mvideo_core.perception.captioning.chat_client import ChatClient, Server
from mvideo_core.perception.captioning.connections import (
    check_url,
    check_variable,
    open_http,
    read_key,
    refuse_secrets,
)
from mvideo_core.perception.captioning.prompt import DEFAULT_PROMPT, prompt_digest, question

PROBE_S = 5.0
"""How long the check before a run waits for the server."""


class OpenAICompatibleOptions(CaptionerOptions):
    """Which server, which model, and how hard to press it."""

    model_config = ConfigDict(hide_input_in_errors=True)  # what was typed may be a key
    not_content: ClassVar[tuple[str, ...]] = (
        "base_url", "api_key_env", "ca_file", "concurrency", "timeout_s", "max_retries", "load_timeout_s",
    )  # fmt: skip

    base_url: str = Field(
        default="http://127.0.0.1:8000/v1", description="address up to and including /v1; vLLM 8000, SGLang 30000"
    )
    model: str = Field(default="", description="model name as the server lists it; empty: the only one it serves")
    api_key_env: str = Field(
        default="", description="name of the environment variable that holds the API key; empty: none is sent"
    )
    ca_file: str = Field(
        default="", description="PEM file of the authority behind the server's certificate; empty: the usual ones"
    )
    prompt: str = Field(default=DEFAULT_PROMPT, min_length=1, description="question put to the model with every clip")
    name_objects: bool = Field(default=False, description="add the detected class names to the question")
    n_frames: int = Field(
        default=8, ge=1, le=128, description="frames sent per clip, evenly spread; more cost more prompt tokens"
    )
    max_side_px: int = Field(
        default=720, ge=64, le=4096, description="frames are shrunk to this longer side before JPEG"
    )
    jpeg_quality: int = Field(default=90, ge=1, le=100, description="JPEG quality of the frames sent")
    temperature: float | None = Field(
        default=0.0, ge=0, le=2, description="0 gives the likeliest text; null leaves it out of the request"
    )
    seed: int | None = Field(default=0, description="sampling seed; servers may ignore it; null leaves it out")
    max_tokens: int | None = Field(
        default=256, ge=1, le=65536, description="length limit of the answer, server's tokens; null leaves it out"
    )
    extra_body: dict[str, Any] = Field(
        default={},
        description="further fields of the request, e.g. {chat_template_kwargs: {enable_thinking: false}}",
    )
    concurrency: int = Field(default=8, ge=1, le=256, description="requests in flight at once from this captioner")
    timeout_s: float = Field(default=120.0, gt=0, description="longest time for one whole answer, seconds")
    max_retries: int = Field(
        default=5, ge=0, le=50, description="further tries after 408, 409, 429, 5xx, a broken answer or none"
    )
    load_timeout_s: float = Field(
        default=600.0, ge=0, description="how long a server that loads its model or restarts is waited for, seconds"
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
        """Raises ConfigError when the key is not set or malformed, or certificates or proxy cannot be used."""
        read_key(self.api_key_env)
        open_http(self.base_url, self.timeout_s, 1, self.ca_file)

    def reach(self) -> None:
        """Raises ServerAway, ConfigError or ModelError when the server cannot be used; one short request."""

        async def look() -> None:
            client = open_client(self.model_copy(update={"timeout_s": min(self.timeout_s, PROBE_S)}))
            try:
                await client.probe(self.model)
            finally:
                await client.close()

        asyncio.run(look())

    def server(self) -> Server:
        """How to reach the server, with the key from the environment."""
        return Server(
            self.base_url, self.timeout_s, self.max_retries, self.load_timeout_s, read_key(self.api_key_env)
        )  # fmt: skip


def open_client(options: OpenAICompatibleOptions) -> ChatClient:
    """A client for the running event loop. Raises ConfigError: key, certificates or proxy cannot be used."""
    http = open_http(options.base_url, options.timeout_s, options.concurrency, options.ca_file)
    return ChatClient(options.server(), http)


@CAPTIONERS.register("openai_compatible")
class OpenAICompatibleCaptioner:
    """Sends a few frames of each clip with one question; clips are independent, many are under way at once."""

    Options: ClassVar[type[AnyOptions]] = OpenAICompatibleOptions
    batch_clips = 256

    def __init__(self, options: OpenAICompatibleOptions, asking: Asking):
        self.options, self.asking = options, asking
        self.model_name = asking.model
        self.needs_frames = options.n_frames
        self.prompt_sha256 = prompt_digest(options.prompt, options.name_objects, options.n_frames)

    @classmethod
    def load(cls, options: AnyOptions, device: str = "cpu") -> Self:
        """Captioner whose server answered and serves the model; `device` is not used.

        Raises:
            ConfigError: the API key's variable is not set, or the server refuses the key.
            ModelError: no server answers at `base_url`, or it does not serve the model.
        """
        checked = OpenAICompatibleOptions.model_validate(options.model_dump())
        return cls(checked, Asking(lambda: open_client(checked), checked.model, checked.concurrency))

    @classmethod
    def tiny(cls) -> Self:
        """None: this captioner is a client; its test starts a small server instead."""
        raise ConfigError("openai_compatible has no tiny model: start a server and give its base_url")

    def question(self, clip: CaptionInput) -> str:
        """The text that goes with the frames of a clip."""
        return question(self.options.prompt, self.options.name_objects, clip)

    def caption(self, inputs: Sequence[CaptionInput]) -> Iterator[tuple[int, Outcome]]:
        """One outcome per clip as answers come; MediaError where the server does not answer for that clip alone.

        Raises:
            ServerAway: the server answers nothing any more. ConfigError, ModelError: it answers, but will not serve.
        """
        yield from self.asking.ask([clip.key for clip in inputs], lambda n: self._payload(inputs[n]))

    def _payload(self, clip: CaptionInput) -> dict[str, Any]:
        options = self.options
        frames_THWC = clip.sample(options.n_frames)
        parts: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": jpeg_data_url(frame, options.max_side_px, options.jpeg_quality)}}
            for frame in frames_THWC
        ]
        parts.append({"type": "text", "text": self.question(clip)})
        chosen = {"temperature": options.temperature, "seed": options.seed, "max_tokens": options.max_tokens}
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
        max_side_px: longer side after shrinking; smaller frames stay as they are.
        quality: 1 to 100.
    """
    from PIL import Image

    image = Image.fromarray(frame_HWC)
    image.thumbnail((max_side_px, max_side_px))
    held = io.BytesIO()
    image.save(held, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()
