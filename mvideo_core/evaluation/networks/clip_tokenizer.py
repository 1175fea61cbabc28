"""CLIP's byte-pair tokenizer (Radford et al. 2021): text to token ids, read from its published list of merges.

The public list, bpe_simple_vocab_16e6.txt.gz, gives 49,408 ids; a shorter list gives a smaller vocabulary of the same
build: 256 bytes, 256 bytes that end a word, one id per merge, start and end of text.
"""

import gzip
import html
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

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
    """

    def __init__(self, merges: Sequence[tuple[str, str]]):
        import regex

        self._characters = byte_characters()
        singles = list(self._characters.values())
        pieces = [*singles, *(piece + "</w>" for piece in singles), *map("".join, merges), START, END]
        self.ids = {piece: index for index, piece in enumerate(pieces)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._words = regex.compile(WORDS, regex.IGNORECASE)

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
        return cls([(first, second) for first, second in lines])

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self.ids)

    def encode(self, text: str) -> list[int]:
        """Ids of a text's pieces, without start and end. Text is repaired, unescaped, lower-cased, spaces joined."""
        words = self._words.findall(clean(text))
        return [self.ids[piece] for word in words for piece in self._pieces(word)]

    def tokens(self, text: str, context: int) -> np.ndarray:
        """int64 (context,): start, text, end, zeros. A longer text is cut; the end stays, in the last place."""
        ids = [self.ids[START], *self.encode(text), self.ids[END]]
        if len(ids) > context:
            ids = [*ids[: context - 1], self.ids[END]]
        row = np.zeros(context, np.int64)
        row[: len(ids)] = ids
        return row

    def _pieces(self, word: str) -> list[str]:
        if word in (START, END):
            return [word]
        characters = [self._characters[byte] for byte in word.encode("utf-8")]
        pieces = [*characters[:-1], characters[-1] + "</w>"]
        while len(pieces) > 1:
            pairs = list(pairwise(pieces))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            pieces = join_pair(pieces, best)
        return pieces


def clean(text: str) -> str:
    """Text as CLIP sees it: wrong encodings repaired and quotes straightened (ftfy), HTML unescaped, lower case."""
    import ftfy

    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


def byte_characters() -> dict[int, str]:
    """A visible character for each byte, in the order of CLIP's ids: printable ones first, as themselves."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def join_pair(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """`pieces` with every neighboring occurrence of `pair` made one, from the left."""
    result: list[str] = []
    for piece in pieces:
        if result and (result[-1], piece) == pair:
            result[-1] += piece
        else:
            result.append(piece)
    return result
