"""Lines of text files and files in folders, read the same way everywhere.

`str.splitlines` also breaks at U+2028, U+2029 and U+0085, which captions, prompts and titles may contain; here only
newlines end a line. Hidden files (._clip.mp4 of macOS, our own unfinished .clip.mp4.1f.part) are not data.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from mvideo_core.base.errors import ConfigError


def text_lines(text: str) -> list[str]:
    """Lines of a text without their ends (LF or CRLF), without a byte order mark and without the empty last line."""
    lines = text.removeprefix("\ufeff").split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def read_lines(path: str | os.PathLike[str], what: str) -> list[str]:
    """Lines of a UTF-8 file.

    Args:
        what: what the file is, for the message: "removal list".

    Raises:
        ConfigError: it cannot be read or is not UTF-8.
    """
    try:
        return text_lines(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this {what} cannot be read: {error}") from None


def read_entries(path: str | os.PathLike[str], what: str) -> list[str]:
    """Entries of a hand-written list: one per line, sorted, each once.

    `#` at the start of a line or after a blank starts a comment; quotes around an entry and a comma after it are
    dropped, since spreadsheets and editors add them.

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
    """Files in a folder by name, without hidden ones and those in hidden folders; empty if the folder does not exist.

    Args:
        endings: lower-case extensions with their dot; none means every file.
        recursive: include subfolders.

    Raises:
        OSError: a folder cannot be listed.
    """
    root = Path(folder)
    if not root.is_dir():
        return []
    found = _walk(root) if recursive else root.iterdir()
    return sorted(
        path
        for path in found
        if (not endings or path.name.lower().endswith(endings)) and not path.name.startswith(".") and path.is_file()
    )


def visible_folders(folder: str | os.PathLike[str]) -> list[Path]:
    """Folders in a folder by name, without hidden ones (.Trash, .ipynb_checkpoints); empty if it does not exist."""
    root = Path(folder)
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if not path.name.startswith(".") and path.is_dir())


def all_files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """All files below a folder, hidden ones too, without links; in no order.

    Raises:
        OSError: a folder cannot be listed (`Path.rglob` leaves it out).
    """
    paths = (Path(top, name) for top, _, names in _tree(folder) for name in names)
    return (path for path in paths if path.is_file() and not path.is_symlink())


def find_named(folders: Iterable[str | os.PathLike[str]], name: str) -> list[Path]:
    """Files of this name at or below some folders, sorted by folder; in hidden ones, too, as a search may miss nothing.

    Raises:
        OSError: a folder cannot be listed (`Path.rglob` leaves it out).
    """
    found = {Path(top, name) for folder in folders for top, _, names in _tree(folder) if name in names}
    return sorted((path for path in found if path.is_file()), key=lambda path: path.parent)


def find_file(folder: str | os.PathLike[str], name: str) -> Path | None:
    """The file in a folder with this name, however its accents are encoded (macOS decomposes them, NFD).

    Returns:
        None if there is none, or if no file can have such a name (over 255 bytes).
    """
    root = Path(folder)
    return next((root / form for form in spellings(name) if is_file(root / form)), None)


def spellings(text: str) -> tuple[str, ...]:
    """A text as is, composed (NFC) and decomposed (NFD): one name to people, up to three to a file system."""
    return tuple(dict.fromkeys((text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))))


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether the path exists; False, not an error, for a name that the file system rejects (over 255 bytes)."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether the path is a file; False, not an error, for a name that the file system rejects (over 255 bytes)."""
    return os.path.isfile(path)  # noqa: PTH113


def _tree(folder: str | os.PathLike[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    def stop(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # deleted by another process since it was seen
            raise error

    return os.walk(folder, onerror=stop)


def _walk(root: Path) -> Iterator[Path]:
    for top, folders, names in _tree(root):
        folders[:] = (name for name in folders if not name.startswith("."))
        yield from (Path(top, name) for name in names)


def _before_comment(line: str) -> str:
    for place, letter in enumerate(line):
        if letter == "#" and (place == 0 or line[place - 1].isspace()):
            return line[:place]
    return line
