"""Limit captions to the text encoder's length: CogVideoX reads 226 T5 tokens and silently drops the rest."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import regex

from mvideo_core.base.errors import ModelError
from mvideo_core.perception.captioning.clean import SENTENCE_END
from mvideo_core.weights.reading import RAISED_BY_LOADERS, check_memory, plain_words

T5_TOKENS = 226
"""Token budget of CogVideoX's text encoder, end mark included (diffusers: `max_sequence_length`)."""

_PIECE = regex.compile(r"[A-Za-z]+|\d|\s+|[^\sA-Za-z\d]")

_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}"
_SOUTH_EAST = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_UNSPACED = regex.compile(rf"[{_CJK}{_SOUTH_EAST}][{_CJK}{_SOUTH_EAST}\p{{M}}]*")
_WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}'’_-]*")
_BREAK = regex.compile(rf"\s|(?<=[，、；：,;])(?=\S)|(?<=[{_CJK}{_SOUTH_EAST}]\p{{M}}*)(?=[{_CJK}{_SOUTH_EAST}])")
"""Where a sentence may be cut: at a space, after a comma, between two letters of a script without spaces."""
LETTERS_PER_WORD = {_CJK: 2, _SOUTH_EAST: 4}
"""Scripts without spaces between words: letters (grapheme clusters) that count as one word, roughly the mean length
of a Chinese or Japanese word and of a Thai, Lao, Khmer or Burmese one."""


def count_words(text: str) -> int:
    """Number of words in any script; scripts without spaces are counted by letters (LETTERS_PER_WORD)."""
    total = len(_WORD.findall(_UNSPACED.sub(" ", text)))
    for script, letters in LETTERS_PER_WORD.items():
        for run in regex.findall(rf"[{script}][{script}\p{{M}}]*", text):
            total += -(-len(regex.findall(r"\X", run)) // letters)
    return total


def estimate_tokens(text: str) -> int:
    """Upper estimate of the T5 tokens for English prose, including the end token; needs no tokenizer.

    A heuristic, not a guarantee: one token per started group of four letters of a word, one per digit or sign, two per
    character outside ASCII, one for the end token. Everyday English words take one or two T5 tokens regardless of their
    length, so the estimate should be high for prose (not measured here: no T5 tokenizer is included); an unusual string
    of rare letters can need more. For an exact count, provide a tokenizer.
    """
    total = 1
    for piece in _PIECE.findall(text):
        if piece.isascii():
            total += 0 if piece.isspace() else (len(piece) + 3) // 4
        else:
            total += 2
    return total


def token_counter(tokenizer_dir: str | Path | None) -> Callable[[str], int]:
    """A function text -> number of tokens, including the end token: exact with a tokenizer, otherwise
    `estimate_tokens`.

    Raises:
        ModelError: the folder is missing or has no tokenizer.
    """
    return estimate_tokens if not tokenizer_dir else _exact_counter(str(tokenizer_dir))


def cap_text(text: str, max_tokens: int = T5_TOKENS, tokenizer_dir: str | Path | None = None) -> str:
    """The text as one line, cut after the last sentence that fits; if the first is too long, it is cut between words.

    Args:
        text: any caption; runs of whitespace become one space.
        max_tokens: limit, including the end token.
        tokenizer_dir: folder with the text encoder's tokenizer; without it, `estimate_tokens` is used.

    Raises:
        ModelError: the tokenizer folder is missing or has no tokenizer.
    """
    count = token_counter(tokenizer_dir)
    text = " ".join(text.split())
    if count(text) <= max_tokens:
        return text
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    return _longest_prefix(text, ends, count, max_tokens) or _cut_inside(text, count, max_tokens)


def _longest_prefix(text: str, ends: list[int], count: Callable[[str], int], max_tokens: int) -> str:
    """Longest text[:end] within the limit, by bisection (counts grow with the prefix); "" if none fits."""
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high + 1) // 2
        if count(text[: ends[middle - 1]]) <= max_tokens:
            low = middle
        else:
            high = middle - 1
    return text[: ends[low - 1]] if low else ""


def _cut_inside(text: str, count: Callable[[str], int], max_tokens: int) -> str:
    """The longest prefix of one long sentence, cut between words; between letters if a single word is too long."""
    stop = "。" if regex.match(rf"[{_CJK}]", text) else "" if regex.match(rf"[{_SOUTH_EAST}]", text) else "."

    def close(part: str) -> str:
        return part.rstrip(",;:- ，、；：") + stop

    def cut_at(ends: Iterable[int]) -> str:
        return _longest_prefix(text, list(ends), lambda part: count(close(part)), max_tokens)

    cut = cut_at(match.start() for match in _BREAK.finditer(text)) or cut_at(
        match.end() for match in regex.finditer(r"\X", text)
    )
    return close(cut) if cut else ""


@lru_cache(maxsize=4)
def _exact_counter(folder: str) -> Callable[[str], int]:
    if not Path(folder).is_dir():
        raise ModelError(
            f"{folder}: no such tokenizer folder; copy the video model's `tokenizer` folder there "
            "(CogVideoX: tokenizer/ with spiece.model or tokenizer.json), or leave the option empty to use the estimate"
        )
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except RAISED_BY_LOADERS as error:
        check_memory(folder, error)
        raise ModelError(f"{folder}: cannot read a tokenizer from this folder: {plain_words(error)}") from error
    return lambda text: len(tokenizer(text, truncation=False)["input_ids"])
