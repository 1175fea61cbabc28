"""Token ids by OpenAI's own tokenizer, to compare this project's with.

    PYTHON -m tests.goldens.make_clip_goldens [--out tests/goldens/clip_tokens.json]

runs in the environment of docs/reference/metrics.md that has openai-clip, from the repository's root. Without --out it
prints.
"""

import argparse
import gzip
import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MINI = Path("mvideo_core/weights/mini/viclip/bpe_world.txt")
TEXTS = (
    "",
    " ",
    "\n\t \r\n",
    "a",
    "A red disc moves over a gray field.",
    "photorealistic 4k drone shot, golden hour",
    "A red dog starts in the lower left and moves to the right. The camera pans slowly.",
    "Two penguins and a zebra meet; the second bird leaves, going out of sight.",
    "A dog's bone isn't there; we'll see, I'd've, you're, I'm",
    "DON'T SHOUT",
    "!!'s",
    "...!!!???",
    "--",
    "_under_score_",
    "12345 6.7 1,000 \u00bd \u00b2 \u2177",
    "3D-printed mid-20th-century co-op",
    "e.g. http://x.org/a?b=1&c=2#d",
    "C++ & C#",
    "&lt;b&gt; &amp;amp; &quot;quoted&quot; &#39;",
    "<html>&nbsp;x&#x1F600;</html>",
    "e&#769; e\u0301 \u00e9",
    "caf\u00e9 CAFE\u0301 \u00c0\u00c9\u00ce na\u00efve",
    "caf\u00c3\u00a9 \u00e2\u20ac\u2122",
    "don\u2019t \u201cquote\u201d \u2013 \u2014 \u2026",
    "\u0130stanbul \u03a3\u0391\u03a3 \u039f\u0394\u039f\u03a3 \u1e9e",
    "'\u017f 'S 's \u017ft",
    "\ufb01ne \uff21\uff22\uff23 \u212b",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8",
    "\u4e00\u53ea\u72d7\u5728\u8349\u5730\u4e0a\u5954\u8dd1\u3002",
    "\u0e2a\u0e38\u0e19\u0e31\u0e02\u0e27\u0e34\u0e48\u0e07",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643",
    "\u05e9\u05dc\u05d5\u05dd",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u0941\u0924\u094d\u0924\u093e",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
    "\U0001f600\U0001f469\u200d\U0001f469\u200d\U0001f467 family \U0001f1e9\U0001f1ea",
    "\u2028x\u00a0y\u3000z\u0085w",
    "a\u200bb\u200dc\ufeffd",
    "\x00\x1f control\x07",
    "\u0301combining first",
    "\u088f \u0c5c \ua7d2 \u208f \U0001e030 \U00031350",
    "<|endoftext|>",
    "x <|startoftext|> y",
    "!<|endoftext|>",
    "<|ENDOFTEXT|>'s",
    "<|endoftext",
    "a" * 400,
    "aaaaabaaaab ababababab banananana mississippi",
    "the quick brown fox jumps over the lazy dog " * 20,
)
"""Plain sentences, then contractions, punctuation, digits, HTML, accents, scripts, emoji, odd blanks, characters that
Unicode got late, the tokenizer's own special words, and long texts."""


def main() -> None:
    """Compute, then print or write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    text = json.dumps(compute(), ensure_ascii=True, separators=(",", ":")).replace('],"', '],\n"') + "\n"
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def compute() -> dict[str, Any]:
    """Ids of TEXTS with the public list and with the mini ViCLIP's, and the part of the public list they need."""
    from clip import simple_tokenizer

    public = Path(simple_tokenizer.default_bpe())
    tokenizer = simple_tokenizer.SimpleTokenizer(str(public))
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "bpe.txt.gz"
        packed.write_bytes(gzip.compress(MINI.read_bytes().rstrip()))  # a last empty line would be a merge
        mini = simple_tokenizer.SimpleTokenizer(str(packed))
    merges = used_merges(public, tokenizer.encoder, map(tokenizer.encode, TEXTS))
    return {
        "made_with": {name: importlib.metadata.version(name) for name in ("openai-clip", "ftfy", "regex")},
        "public": {text: tokenizer.encode(text) for text in TEXTS},
        "mini": {text: mini.encode(text) for text in TEXTS},
        "merges": [" ".join(merge) for merge in merges.values()],
        "merge_ranks": list(merges),
    }


def used_merges(public: Path, vocabulary: dict[str, int], encoded: Iterable[list[int]]) -> dict[int, tuple[str, ...]]:
    """Rank -> merge of CLIP's list, for those that some texts need; with them alone, these break into the same pieces.

    Args:
        vocabulary: piece -> id, of the whole list.
        encoded: ids of each text.
    """
    lines = gzip.decompress(public.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    names = {index: piece for piece, index in vocabulary.items()}
    spelled = "".join(names[index] for ids in encoded for index in ids)
    parts: set[str] = set()
    for word in set(spelled.replace("</w>", "</w> ").split()):
        starts = range(len(word))
        parts |= {word[start:stop] for start in starts for stop in range(start + 1, min(start + 80, len(word)) + 1)}
    return {rank: tuple(line.split()) for rank, line in enumerate(lines) if line.replace(" ", "") in parts}


if __name__ == "__main__":
    main()
