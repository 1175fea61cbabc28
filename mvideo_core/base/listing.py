"""Lines of text files and files of folders, the same way everywhere.

`str.splitlines` also breaks at U+2028, U+2029 and U+0085, which captions, prompts and titles may hold; here only
newlines end a line. Hidden files (._clip.mp4 of macOS, our own unfinished .clip.mp4.1f.part) are nobody's data.
"""

import os
import unicodedata
from pathlib import Path

from mvideo_core.base.errors import ConfigError


def text_lines(text: str) -> list[str]:
    """Lines of a text without their ends (LF or CRLF); a byte order mark is left out, and so is the end of the last."""
    lines = text.removeprefix("\ufeff").split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def read_lines(path: str | os.PathLike[str], what: str) -> list[str]:
    """Lines of a UTF-8 file.

    Args:
        what: the file's purpose, for the message: "removal list".

    Raises:
        ConfigError: it cannot be read, or is no UTF-8.
    """
    try:
        return text_lines(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this {what} cannot be read: {error}") from None


def read_entries(path: str | os.PathLike[str], what: str) -> list[str]:
    """Entries of a list that people write: one a line, sorted, each once.

    `#` at the start of a line or after a blank begins a comment; quotes around an entry and a comma after it are left
    out, as spreadsheets and editors put them there.

    Raises:
        ConfigError: it cannot be read.
    """
    entries = set()
    for line in read_lines(path, what):
        head = line if "#" not in line else _before_comment(line)
        entry = head.strip().rstrip(",").strip()
        if len(entry) > 1 and entry[0] == entry[-1] and entry[0] in "\"'":
            entry = entry[1:-1].strip()
        entries.add(entry)
    return sorted(entries - {""})


def visible_files(folder: str | os.PathLike[str], *endings: str, recursive: bool = False) -> list[Path]:
    """Files of a folder by name, without hidden ones and those in hidden folders; none where there is no folder.

    Args:
        endings: lower-case endings with their dot; none takes every file.
        recursive: enter folders, too.
    """
    root = Path(folder)
    if not root.is_dir():
        return []
    found = root.rglob("*") if recursive else root.iterdir()
    return sorted(
        path
        for path in found
        if (not endings or path.name.lower().endswith(endings))
        and not any(name.startswith(".") for name in path.relative_to(root).parts)
        and path.is_file()
    )


def find_file(folder: str | os.PathLike[str], name: str) -> Path | None:
    """The file of a folder with this name, however its accents are encoded (macOS writes them decomposed, NFD).

    Returns:
        None when there is none, or when no file can have such a name (over 255 bytes).
    """
    root = Path(folder)
    return next((root / form for form in spellings(name) if is_file(root / form)), None)


def spellings(text: str) -> tuple[str, ...]:
    """A text as it is, composed (NFC) and decomposed (NFD): one name to people, up to three to a file system."""
    return tuple(dict.fromkeys((text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))))


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether something is there; False, not an error, for a name that the file system refuses (over 255 bytes)."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is there; False, not an error, for a name that the file system refuses (over 255 bytes)."""
    return os.path.isfile(path)  # noqa: PTH113


def _before_comment(line: str) -> str:
    for place, letter in enumerate(line):
        if letter == "#" and (place == 0 or line[place - 1].isspace()):
            return line[:place]
    return line
