"""Vocabulary of the mini ViCLIP: CLIP's tokenizer with a short list of merges for the world's words.

Every word of the world's captions, and the names of its unseen classes, is one token; other text is spelled out.
"""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from mvideo_core.evaluation.networks.clip_tokenizer import ClipTokenizer
from mvideo_core.miniworld.world import kinds, unseen_classes
from mvideo_core.miniworld.world.captions import CAMERA
from mvideo_core.miniworld.world.kinds import PALETTE
from mvideo_core.miniworld.world.scenery import SCENES

ANIMALS = frozenset({"bird", "dog", "elephant", "horse"})
GENERAL = ("animal", "object")
"""Words that replace a class in some training captions, so that such words get a meaning."""
_MOTION_WORDS = """
a an the and are in of on by is view two three four five six first second third fourth fifth sixth seventh starts
stays moves enters appears leaves going out sight way coming back there then after about one less than more seconds
changing pose slowly quickly up down from side to left right top bottom upper lower centre upwards downwards across
growing shrinking larger smaller nearer away behind it person people with scene without tracked objects others meet
meets pass passes each other forth they shape closer come together apart move getting farther goes seven animal object
animals at end for while
"""


def world_words() -> list[str]:
    """All words that become one token, sorted."""
    words = set(_MOTION_WORDS.split()) | set(PALETTE) | set(GENERAL)
    for text in (*CAMERA.values(), *(scene.words for scene in SCENES.values()), *kinds()):
        words |= set(split_words(text))
    for one in kinds().values():
        for action in one.actions:
            words |= set(split_words(action.verb))
    words |= {f"{word}s" for name in kinds() for word in split_words(name)[-1:]} | {"buses", "deer"}
    return sorted(words)


def split_words(text: str) -> list[str]:
    """Lower-case words of a text."""
    return re.findall(r"[a-z]+", text.lower())


def merges_of(words: Iterable[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent pair first, until every word is one piece.

    Args:
        words: each counted once.
    """
    spellings = [[*word[:-1], word[-1] + "</w>"] for word in sorted(set(words))]
    merges: list[tuple[str, str]] = []
    while True:
        counts = Counter(pair for pieces in spellings for pair in pairwise(pieces))
        if not counts:
            return merges
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        spellings = [join_pair(pieces, best) for pieces in spellings]


def join_pair(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """`pieces` with every neighboring occurrence of `pair` made one, from the left."""
    result: list[str] = []
    for piece in pieces:
        if result and (result[-1], piece) == pair:
            result[-1] += piece
        else:
            result.append(piece)
    return result


def write_merges(path: Path, merges: Iterable[tuple[str, str]]) -> None:
    """The list in CLIP's format: a heading, then two pieces per line."""
    lines = ["#version: 0.2, words of the mini world", *(" ".join(pair) for pair in merges)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def world_tokenizer() -> ClipTokenizer:
    """Same tokenizer as from the file written by `write_merges(merges_of(world_words()))`."""
    return ClipTokenizer(merges_of(world_words()))


def find_unseen_words() -> list[str]:
    """Words that occur only in unseen class names and not in training captions."""
    seen = {word for name, one in kinds().items() if not one.unseen for word in split_words(name)}
    return sorted({word for name in unseen_classes() for word in split_words(name)} - seen)


def mirror(text: str) -> str:
    """The caption of the mirrored video: swap left and right."""
    return re.sub(r"\b(left|right)\b", lambda found: "right" if found[0] == "left" else "left", text)


def generalize(text: str, name: str) -> str:
    """The caption with one class replaced by "animal" or "object", with correct articles."""
    general = GENERAL[0] if name in ANIMALS else GENERAL[1]
    text = re.sub(rf"\b[Aa] (?={name}\b)", lambda found: "An " if found[0][0] == "A" else "an ", text)
    return re.sub(rf"\b{name}\b", general, text)
