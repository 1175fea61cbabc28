"""Tokenizer of the small models: T5's class over the words of the synthetic world's captions.

Each listed word is one token, capitalized or not; any other ASCII is spelled letter by letter, so no caption contains
an unknown token. The list (`mini_words.txt`) has the words of the world's captions, of the motion captioner and of the
class names; a test tokenizes captions of the world with it.
"""

import string
from functools import lru_cache
from pathlib import Path
from typing import Any

SPECIAL = ("<pad>", "</s>", "<unk>")
_WORD_SCORE = -5.0
_LETTER_SCORE = -20.0


@lru_cache(maxsize=1)
def mini_words() -> tuple[str, ...]:
    """Words in lower case, sorted."""
    return tuple((Path(__file__).parent / "mini_words.txt").read_text(encoding="utf-8").split())


def vocabulary() -> list[tuple[str, float]]:
    """(piece, log-probability) in a fixed order: special tokens, words, letters and signs. "▁" starts a word."""
    capital = [word.capitalize() for word in mini_words()]
    words = [(f"▁{word}", _WORD_SCORE) for word in (*mini_words(), *capital)]
    known = {piece for piece, _ in words}
    signs = [(sign, _LETTER_SCORE) for sign in string.printable.strip()]
    return [*((name, 0.0) for name in SPECIAL), *words, ("▁", _LETTER_SCORE), *(s for s in signs if s[0] not in known)]


def mini_tokenizer(max_length: int) -> Any:
    """A T5Tokenizer over `vocabulary()`, built without files.

    Args:
        max_length: number of tokens that prompts are padded and cut to.
    """
    from transformers import T5Tokenizer

    return T5Tokenizer(vocab=vocabulary(), extra_ids=0, model_max_length=max_length)
