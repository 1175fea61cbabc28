"""Phrases -> captions with a token-span map, so that a score belongs to a phrase, not to a decoded string.

Thresholding tokens and decoding them back to words merges classes ("car truck", "dog hot"). Here each phrase has the
tokens of its span in the caption, and its score is the mean probability over them, as in the upstream COCO evaluation
(demo/test_ap_on_coco.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvideo_core.base.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Prompt:
    """One caption for a forward pass.

    Attributes:
        caption: "person . bicycle . car ." in lower case.
        phrases: the K phrases in it, spelled as given.
        positive_map_KL: (K, max_text_len) float32; row k is uniform over the tokens of phrase k and sums to one.
        n_tokens: tokens of the caption with [CLS] and [SEP].
    """

    caption: str
    phrases: tuple[str, ...]
    positive_map_KL: np.ndarray
    n_tokens: int


def build_prompts(phrases: Sequence[str], tokenizer: Any, max_text_len: int = 256) -> list[Prompt]:
    """Pack the phrases, in order, into as few prompts as the text length allows.

    Args:
        phrases: class names without ".", "?" or "/" (separators in the model's caption).
        tokenizer: fast BERT tokenizer (`char_to_token`).
        max_text_len: maximum caption length in tokens. The model would silently truncate longer ones.

    Raises:
        ConfigError: no phrases, or an empty or duplicate one, or one with a separator, too many tokens, or words
            missing from the vocabulary.
    """
    _check(phrases)
    if _n_tokens(phrases, tokenizer) <= max_text_len:
        return [_prompt(phrases, tokenizer, max_text_len)]
    prompts: list[Prompt] = []
    pending: list[str] = []
    for phrase in phrases:
        if pending and _n_tokens([*pending, phrase], tokenizer) > max_text_len:
            prompts.append(_prompt(pending, tokenizer, max_text_len))
            pending = []
        pending.append(phrase)
    prompts.append(_prompt(pending, tokenizer, max_text_len))
    return prompts


def phrase_scores(logits_BQL: Any, prompt: Prompt) -> np.ndarray:
    """(B, Q, K) scores: mean over the tokens of each phrase of sigmoid(logit). `logits_BQL` is a torch tensor."""
    import torch

    positive_LK = torch.from_numpy(prompt.positive_map_KL).to(logits_BQL.device).T
    return (logits_BQL.float().sigmoid() @ positive_LK[: logits_BQL.shape[-1]]).cpu().numpy()


def _check(phrases: Sequence[str]) -> None:
    if isinstance(phrases, str) or not phrases:
        raise ConfigError(f"classes: expected a non-empty list of phrases, got {phrases!r}")
    seen: set[str] = set()
    for phrase in phrases:
        name = " ".join(phrase.lower().split())
        if not name or any(mark in name for mark in "./?"):
            raise ConfigError(f"classes: {phrase!r} is empty or contains one of '.', '/', '?', which end a phrase")
        if name in seen:
            raise ConfigError(f"classes: {phrase!r} is listed twice; list each phrase once")
        seen.add(name)


def _caption(phrases: Sequence[str]) -> tuple[str, list[list[list[int]]]]:
    from groundingdino.util.vl_utils import build_captions_and_token_span

    names = [" ".join(phrase.lower().split()) for phrase in phrases]
    caption, spans = build_captions_and_token_span(names, True)
    return caption, [spans[name] for name in names]


def _n_tokens(phrases: Sequence[str], tokenizer: Any) -> int:
    return len(tokenizer(_caption(phrases)[0])["input_ids"])


def _prompt(phrases: Sequence[str], tokenizer: Any, max_text_len: int) -> Prompt:
    from groundingdino.util.vl_utils import create_positive_map_from_span

    caption, spans = _caption(phrases)
    tokenized = tokenizer(caption)
    n_tokens = len(tokenized["input_ids"])
    if n_tokens > max_text_len:
        raise ConfigError(f"classes: {phrases[0]!r} alone needs {n_tokens} tokens; the model's limit is {max_text_len}")
    positive_map = create_positive_map_from_span(tokenized, spans, max_text_len).numpy()
    unknown = tokenizer.unk_token_id
    for phrase, row in zip(phrases, positive_map, strict=True):
        if any(tokenized["input_ids"][i] == unknown for i in np.flatnonzero(row)):
            raise ConfigError(f"classes: the model's vocabulary does not know {phrase!r}; choose another word")
    return Prompt(caption, tuple(phrases), positive_map / positive_map.sum(axis=1, keepdims=True), n_tokens)
