"""CLIP's byte-pair tokenizer (Radford et al. 2021): text to token ids, from its published list of merges.

The public list, bpe_simple_vocab_16e6.txt.gz, gives 49,408 ids; a shorter list gives a smaller vocabulary of the same
build: 256 bytes, 256 bytes that end a word, one id per merge, start and end of text.

Pieces and merges are transformers' CLIPTokenizer. It receives words, not text, because its own cleaning and word
boundaries differ from OpenAI's: no text repair, no HTML, NFC after it, older Unicode tables.
"""

import gzip
import html
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mvideo_core.base.errors import ModelError

START, END = "<|startoftext|>", "<|endoftext|>"
PUBLIC_MERGES = 49152 - 256 - 2
"""How many of the public list's lines CLIP uses; the list is longer."""
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


class ClipTokenizer:
    """Token ids of a text; the largest id is the end of text.

    Args:
        merges: pairs of pieces, the most frequent first.

    Raises:
        ModelError: a merge joins pieces that no earlier merge produces.
    """

    def __init__(self, merges: Sequence[tuple[str, str]]):
        import regex
        from tokenizers import normalizers
        from tokenizers.pre_tokenizers import ByteLevel
        from transformers import CLIPTokenizer

        characters = sorted(ByteLevel.alphabet())  # code points are in the order of CLIP's ids
        pieces = [*characters, *(one + "</w>" for one in characters), *map("".join, merges), START, END]
        self.ids = {piece: index for index, piece in enumerate(pieces)}
        if unknown := next((pair for pair in merges if not self.ids.keys() >= {*pair}), None):
            raise ModelError(f"merge {' '.join(unknown)!r}: one of the two is not in the vocabulary")
        self._words = regex.compile(WORDS, regex.IGNORECASE)
        pairs: list[Any] = list(merges)  # annotated as strings there, taken as pairs
        self._clip = CLIPTokenizer(vocab=self.ids, merges=pairs)
        self._clip.backend_tokenizer.normalizer = normalizers.Sequence([])
        self._clip.backend_tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)

    @classmethod
    def from_file(cls, path: Path) -> "ClipTokenizer":
        """The tokenizer of a list of merges: a heading line, then two pieces per line; gzipped if so named.

        Raises:
            ModelError: missing or not such a list.
        """
        try:
            packed = path.read_bytes()
            text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode("utf-8")
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: cannot be read as CLIP's list of merges: {error}; fetch it again") from None
        lines = [line.split() for line in text.split("\n")[1 : PUBLIC_MERGES + 1] if line.strip()]
        wrong = next((line for line in lines if len(line) != 2), None)
        if wrong is not None:
            raise ModelError(f"{path}: two pieces per line expected after the heading, {wrong} seen; fetch it again")
        try:
            return cls([(first, second) for first, second in lines])
        except ModelError as error:
            raise ModelError(f"{path}: {error}; fetch it again") from None

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self.ids)

    def encode(self, text: str) -> list[int]:
        """Ids of a text's pieces, without start and end. Text is repaired, unescaped, lower-cased, spaces joined."""
        return self._ids(text, add_special_tokens=False)

    def tokens(self, text: str, context: int) -> np.ndarray:
        """int64 (context,): start, text, end, zeros. A longer text is truncated; the end token stays, in the last
        position.
        """
        ids = self._ids(text, truncation=True, max_length=context)
        return np.pad(np.array(ids, np.int64), (0, context - len(ids)))

    def _ids(self, text: str, **how: Any) -> list[int]:
        words = self._words.findall(clean(text))
        return list(self._clip(words, is_split_into_words=True, **how).input_ids)


def clean(text: str) -> str:
    """Text as CLIP sees it: wrong encodings repaired and quotes straightened (ftfy), HTML unescaped, lower case."""
    import ftfy

    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()
