"""Core of the caption stage: inputs -> cleaned, length-limited rows; no store, no decoding."""

from collections.abc import Generator, Sequence
from typing import Any

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from mvideo_core.base.errors import MediaError
from mvideo_core.base.options import Options
from mvideo_core.base.records import CaptionRow, ObjectPhrase
from mvideo_core.perception.captioning.base import (
    CAPTIONERS,
    Answer,
    Captioner,
    CaptionerOptions,
    CaptionInput,
    Outcome,
)
from mvideo_core.perception.captioning.clean import clean_answer, plain_characters
from mvideo_core.perception.captioning.connections import refuse_secrets
from mvideo_core.perception.captioning.length import T5_TOKENS, cap_text, count_words
from mvideo_core.perception.captioning.phrases import GRAMMAR

KEPT_ANSWER_CHARS = 1000
"""Characters of a rejected answer kept in its row."""


class CaptionOptions(Options):
    """Captioner, length limits, and warning thresholds."""

    model_config = ConfigDict(hide_input_in_errors=True)  # the input may contain a key

    captioner: str = Field(
        default="motion", description="name in the registry: motion, openai_compatible, transformers_vlm"
    )
    captioner_options: dict[str, Any] = Field(
        default={}, validate_default=True, description="options of the captioner (docs/captions.md)"
    )
    max_tokens: int = Field(
        default=T5_TOKENS,
        ge=8,
        le=4096,
        description="maximum tokens of the text encoder; longer captions are cut at a sentence",
    )
    tokenizer_dir: str = Field(
        default="",
        description="folder of the text encoder's tokenizer for an exact count; empty = conservative estimate",
    )
    min_words: int = Field(
        default=1, ge=0, description="captions with fewer words are filtered (reason caption_too_short)"
    )
    phrases: bool = Field(
        default=False,
        description="also write a phrase per object: measured by `motion`, asked of a model by the others "
        "(one more request per clip, two if its answer has gaps)",
    )
    warn_equal_frac: float = Field(
        default=0.1, ge=0, le=1, description="warn if more than this fraction of clips have the same caption"
    )
    warn_refused_frac: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="warn if more than this fraction of answers were rejected, empty or failed",
    )

    @field_validator("captioner")
    @classmethod
    def _check_captioner(cls, name: str) -> str:
        if name not in CAPTIONERS.names():
            raise ValueError(f"unknown captioner {name!r}; known: {', '.join(CAPTIONERS.names())}")
        return name

    @field_validator("captioner_options")
    @classmethod
    def _check_options(cls, values: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Fill in every option of the captioner, so that typos are caught here and defaults are visible."""
        if "captioner" not in info.data:
            return values
        refuse_secrets(values, "captioner_options.")
        return captioner_options(info.data["captioner"], values).model_dump(mode="json")


def captioner_options(name: str, values: dict[str, Any]) -> CaptionerOptions:
    """Parse a captioner's options with its own class.

    Raises:
        ConfigError: unknown name, unknown key or value out of range.
    """
    parsed = CAPTIONERS.get(name).Options.parse(values, f"options of captioner {name}")
    assert isinstance(parsed, CaptionerOptions)
    return parsed


def content_of(options: CaptionOptions) -> dict[str, Any]:
    """The options that affect the captions; server address, rate and warning thresholds do not."""
    values = options.model_dump(mode="json", exclude={"warn_equal_frac", "warn_refused_frac", "phrases"})
    if options.phrases:
        values["phrases"] = GRAMMAR
    inner = captioner_options(options.captioner, options.captioner_options)
    values["captioner_options"] = inner.model_dump(mode="json", exclude=set(inner.not_content))
    return values


def load_captioner(options: CaptionOptions, device: str = "cpu") -> Captioner:
    """Load the captioner named in `options`.

    Raises:
        ConfigError: wrong options. ModelError: weights or server missing.
    """
    chosen = CAPTIONERS.get(options.captioner)
    return chosen.load(captioner_options(options.captioner, options.captioner_options), device)


def caption_rows(
    captioner: Captioner, inputs: Sequence[CaptionInput], options: CaptionOptions
) -> Generator[tuple[int, CaptionRow], None, None]:
    """Yield (position in `inputs`, row) as answers arrive: `ok`, `filtered` (no caption) or `failed` (that clip only).

    Raises:
        ModelError: the captioner cannot continue (server down, wrong weights); rows yielded so far remain valid.
    """
    if options.phrases:
        for n, outcome, phrases in captioner.caption_objects(inputs):
            yield n, caption_row(captioner, inputs[n], outcome, options, phrases)
    else:
        for n, outcome in captioner.caption(inputs):
            yield n, caption_row(captioner, inputs[n], outcome, options)


def caption_row(
    captioner: Captioner, clip: CaptionInput, outcome: Outcome, options: CaptionOptions,
    phrases: Sequence[ObjectPhrase] = (),
) -> CaptionRow:  # fmt: skip
    """The row of one outcome; `phrases` of its objects."""
    key = clip.key
    model = (outcome.model if isinstance(outcome, Answer) else "") or captioner.model_name
    head: dict[str, Any] = {
        "captioner": options.captioner, "model": plain_characters(model), "prompt_sha256": captioner.prompt_sha256,
    }  # fmt: skip
    if isinstance(outcome, MediaError):
        return CaptionRow.failure_row(key, key, type(outcome).__name__, plain_characters(str(outcome)), 1, **head)
    seen = clean_answer(outcome.text, captioner.question(clip), outcome.truncated)
    reason = "caption_refused" if outcome.refusal else seen.reason
    if reason:
        answer = plain_characters(outcome.refusal or outcome.text)[:KEPT_ANSWER_CHARS]
        return CaptionRow.filter_row(key, key, reason, 0, 1, cleaned=list(seen.codes), answer=answer, **head)
    capped = cap_text(seen.text, options.max_tokens, options.tokenizer_dir)
    n_words, cleaned = count_words(capped), list(seen.codes)
    if n_words < options.min_words:
        return CaptionRow.filter_row(
            key, key, "caption_too_short", n_words, options.min_words, text=capped, n_words=n_words, cleaned=cleaned,
            **head,
        )  # fmt: skip
    return CaptionRow(key=key, parent=key, text=capped, n_words=n_words, cleaned=cleaned, phrases=list(phrases), **head)
