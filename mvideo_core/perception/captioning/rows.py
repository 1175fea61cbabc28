"""Core of the caption stage: inputs -> cleaned, length-limited rows; no store, no decoding."""

from collections.abc import Generator, Sequence
from typing import Any

from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import CaptionRow, ObjectPhrase
from mvideo_core.perception.captioning.base import (
    CAPTIONERS,
    Answer,
    Captioner,
    CaptionInput,
    Outcome,
)
from mvideo_core.perception.captioning.clean import clean_answer, plain_characters
from mvideo_core.perception.captioning.length import cap_text, count_words
from mvideo_core.perception.captioning.options import CaptionOptions, captioner_options

KEPT_ANSWER_CHARS = 1000
"""Characters of a rejected answer kept in its row."""


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
