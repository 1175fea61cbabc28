"""Captions from any server that speaks OpenAI's chat protocol: vLLM, SGLang (NVILA, VILA), or a paid service.

Protocol: `/v1/chat/completions` with `image_url` parts that hold base64 data URLs, as vLLM and SGLang take them.
"""

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from mvideo_core.captioning.base import CAPTIONERS, CaptionInput
from mvideo_core.captioning.chat_client import ChatClient
from mvideo_core.captioning.prompt import DEFAULT_PROMPT, one_line, prompt_digest, question
from mvideo_core.errors import ConfigError, MediaError
from mvideo_core.options import Options as AnyOptions


class OpenAICompatibleOptions(AnyOptions):
    """Which server, which model, and how hard to press it."""

    base_url: str = Field(
        default="http://127.0.0.1:8000/v1", description="address up to and including /v1; vLLM 8000, SGLang 30000"
    )
    model: str = Field(default="", description="model name as the server lists it; empty: the only one it serves")
    api_key_env: str = Field(
        default="", description="name of the environment variable that holds the API key; empty: none is sent"
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
    temperature: float = Field(
        default=0.0, ge=0, le=2, description="0 gives the likeliest text, so a rerun asks for the same one"
    )
    seed: int = Field(default=0, description="sampling seed sent to the server; servers may ignore it")
    max_tokens: int = Field(
        default=256, ge=1, le=8192, description="length limit of the answer, in the server's tokens"
    )
    concurrency: int = Field(default=8, ge=1, le=256, description="requests in flight at once from this captioner")
    timeout_s: float = Field(default=120.0, gt=0, description="longest wait for one answer, seconds")
    max_retries: int = Field(
        default=5, ge=0, le=50, description="further tries after 408, 429, 5xx, a broken connection or no answer"
    )
    backoff_s: float = Field(default=1.0, ge=0, description="wait before the first retry; doubles each time")
    max_backoff_s: float = Field(
        default=60.0, ge=0, description="longest wait between tries, also for a server's Retry-After"
    )


@CAPTIONERS.register("openai_compatible")
class OpenAICompatibleCaptioner:
    """Sends a few frames of each clip with one question; answers come back in the order of the inputs."""

    Options: ClassVar[type[AnyOptions]] = OpenAICompatibleOptions

    def __init__(self, options: OpenAICompatibleOptions, client: ChatClient):
        self.options = options
        self.client = client
        self.model_name = client.find_model(options.model)
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
        client = ChatClient(
            base_url=checked.base_url, api_key=_api_key(checked.api_key_env), timeout_s=checked.timeout_s,
            max_retries=checked.max_retries, backoff_s=checked.backoff_s, max_backoff_s=checked.max_backoff_s,
            connections=checked.concurrency,
        )  # fmt: skip
        return cls(checked, client)

    @classmethod
    def tiny(cls) -> Self:
        """None: this captioner is a client; its test starts a small server instead."""
        raise ConfigError("openai_compatible has no tiny model: start a server and give its base_url")

    def caption(self, inputs: Sequence[CaptionInput]) -> list[str | MediaError]:
        """One text per clip, in order; MediaError in the list where the server refused that clip's content.

        Raises:
            ModelError: the server stopped answering after all retries; already received answers are lost.
        """
        if len(inputs) < 2:
            return [self._ask(clip) for clip in inputs]
        with ThreadPoolExecutor(min(self.options.concurrency, len(inputs)), "caption") as pool:
            futures = [pool.submit(self._ask, clip) for clip in inputs]
            try:
                return [future.result() for future in futures]
            finally:
                for future in futures:
                    future.cancel()

    def _ask(self, clip: CaptionInput) -> str | MediaError:
        try:
            return one_line(self.client.complete(self._payload(clip), clip.key))
        except MediaError as error:
            return error

    def _payload(self, clip: CaptionInput) -> dict[str, Any]:
        options = self.options
        frames_THWC = clip.sample(options.n_frames)
        parts: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": jpeg_data_url(frame, options.max_side_px, options.jpeg_quality)}}
            for frame in frames_THWC
        ]
        parts.append({"type": "text", "text": question(options.prompt, options.name_objects, clip)})
        return {
            "model": self.model_name,
            "messages": [{"role": "user", "content": parts}],
            "temperature": options.temperature,
            "seed": options.seed,
            "max_tokens": options.max_tokens,
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


def _api_key(variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "")
    if not key:
        raise ConfigError(f"api_key_env names {variable}, which is not set; export it or leave the option empty")
    return key
