"""The caption stage's work on one batch: inputs -> rows, with the length cap; no store, no decoding."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator

from mvideo_core.captioning.base import CAPTIONERS, Captioner, CaptionInput
from mvideo_core.captioning.length import T5_TOKENS, cap_text
from mvideo_core.errors import MediaError
from mvideo_core.options import Options
from mvideo_core.records import CaptionRow


class CaptionOptions(Options):
    """Who writes the captions, and how long they may be."""

    captioner: str = Field(
        default="motion", description="name in the registry: motion, openai_compatible, transformers_vlm"
    )
    captioner_options: dict[str, Any] = Field(default={}, description="options of that captioner; checked when loaded")
    max_tokens: int = Field(
        default=T5_TOKENS, ge=8, le=4096, description="tokens of the text encoder; longer texts are cut at a sentence"
    )
    tokenizer_dir: str = Field(
        default="", description="folder of the text encoder's tokenizer: exact count; empty: safe estimate"
    )
    min_words: int = Field(
        default=1, ge=0, description="captions with fewer words are filtered (reason caption_too_short)"
    )

    @model_validator(mode="after")
    def _known_captioner(self) -> "CaptionOptions":
        if self.captioner not in CAPTIONERS.names():
            raise ValueError(f"no captioner called {self.captioner!r}; known: {', '.join(CAPTIONERS.names())}")
        return self


def load_captioner(options: CaptionOptions, device: str = "cpu") -> Captioner:
    """The captioner that `options` name, ready to use.

    Raises:
        ConfigError: its options are wrong. ModelError: its weights or its server are absent.
    """
    chosen = CAPTIONERS.get(options.captioner)
    where = f"options of captioner {options.captioner}"
    return chosen.load(chosen.Options.parse(options.captioner_options, where), device)


def caption_rows(captioner: Captioner, inputs: Sequence[CaptionInput], options: CaptionOptions) -> list[CaptionRow]:
    """One row per input, in order: `ok`, `filtered` (too short) or `failed` (only that clip is at fault).

    Raises:
        ModelError: the captioner itself cannot go on (server gone, weights wrong); nothing is known about any clip.
    """
    texts = captioner.caption(inputs)
    return [_row(captioner, clip, text, options) for clip, text in zip(inputs, texts, strict=True)]


def _row(captioner: Captioner, clip: CaptionInput, text: str | MediaError, options: CaptionOptions) -> CaptionRow:
    head: dict[str, Any] = {
        "captioner": options.captioner, "model": captioner.model_name, "prompt_sha256": captioner.prompt_sha256,
    }  # fmt: skip
    if isinstance(text, MediaError):
        return CaptionRow.failed(clip.key, clip.key, type(text).__name__, str(text), 1, **head)
    capped = cap_text(text, options.max_tokens, options.tokenizer_dir)
    n_words = len(capped.split())
    if n_words < options.min_words:
        return CaptionRow.filtered(
            clip.key, clip.key, "caption_too_short", n_words, options.min_words, text=capped, n_words=n_words, **head
        )
    return CaptionRow(key=clip.key, parent=clip.key, text=capped, n_words=n_words, **head)
