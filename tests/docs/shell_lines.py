"""Command lines in the Markdown pages: found, joined and split into words as a shell does."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.reference import FOLDER, REPOSITORY
from tests.reference.docstrings import PAGES as MADE_OF_DOCSTRINGS

_DOCS = REPOSITORY / "docs"
PAGES = sorted(
    [
        *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md")),
        *_DOCS.glob("*.md"),
        *(_DOCS / "results").glob("*.md"),
        *(FOLDER / name for name in MADE_OF_DOCSTRINGS),
    ]
)
_SHELL = {"", "sh", "bash", "console"}
_END = re.compile(r"[;&|<>()]+")


class Line(NamedTuple):
    """One command: where it is, its words, and whether it is a line of a code block, meant to be typed as it is."""

    place: str
    words: list[str]
    whole: bool


def command_lines(program: str, paths: list[Path] = PAGES) -> Iterator[Line]:
    """Every command of `program` in code blocks and in inline code."""
    for path in paths:
        text = path.read_text(encoding="utf-8")
        for number, line, whole in [*_blocks(text), *_inline(text)]:
            for words in commands(line):
                if words[0] == program or words[0].endswith(f"/{program}"):
                    yield Line(f"{path.relative_to(REPOSITORY)}:{number}", words, whole)


def commands(line: str) -> list[list[str]]:
    """The simple commands of a shell line, without variables set in front and without a comment."""
    lexer = shlex.shlex(re.sub(r"(^|\s)#(\s.*|$)", "", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    found: list[list[str]] = [[]]
    try:
        for word in lexer:
            if _END.fullmatch(word):
                found.append([])
            elif found[-1] or not re.match(r"\w+=|do$|done$", word):
                found[-1].append(word)
    except ValueError:  # an apostrophe of prose
        return []
    return [words for words in found if words]


def _blocks(text: str) -> Iterator[tuple[int, str, bool]]:
    """Lines of fenced blocks of a shell and of indented blocks, continued ones joined."""
    fence: str | None = None
    start, held, before = 0, "", ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fence = None if fence is not None else line[3:].strip()
            before = line
            continue
        indented = (
            fence is None and line.startswith("    ") and (held or not before.strip() or before.startswith("    "))
        )
        before = line
        if not indented and (fence is None or fence not in _SHELL):
            continue
        start = start if held else number
        held += line.strip()
        if held.endswith("\\"):
            held = f"{held[:-1]} "
        else:
            yield start, held, True
            held = ""


def _inline(text: str) -> Iterator[tuple[int, str, bool]]:
    """Inline code, also over the end of a line; brackets around what may be left out are taken off."""
    prose = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    for found in re.finditer(r"`([^`]+)`", prose):
        words = " ".join(found[1].split())
        yield prose[: found.start()].count("\n") + 1, re.sub(r" \[(--?[^\]]*)\]", r" \1", words), False
