"""Writing to disk: files and folders appear whole or not at all, and a disk error becomes one line of our own."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from mvideo_core.base.errors import StoreError

if TYPE_CHECKING:
    import torch

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
MISPLACED = (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.ELOOP)
OF_THE_DISK = (*FULL, errno.EROFS, errno.EIO)
"""Error numbers that are about the disk, whichever file was being written."""
PRIVATE = 0o600
"""Mode of files that safetensors writes."""
_RUST = re.compile(r"\(os error (\d+)\)")
"""How safetensors words an OSError: its SafetensorError is not one."""
_SQLITE = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_IOERR: errno.EIO, sqlite3.SQLITE_READONLY: errno.EROFS}


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file atomically, text as UTF-8, creating folders. Several processes and threads may write the same file.

    After a kill at any moment the old file or the new one exists, and perhaps a hidden `.part` next to it.

    Raises:
        StoreError: the place cannot be written.
    """
    with new_file(path) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


class Note(NamedTuple):
    """A JSON file written last: the files it vouches for are complete, and made from one request.

    Attributes:
        path: of the file.
        key: its field with the digest of everything that decides those files.
    """

    path: Path
    key: str = "request"

    def read(self) -> dict[str, Any]:
        """All fields; {} without a note. Raises OSError, ValueError, TypeError: damaged, or not a JSON object."""
        return dict(json.loads(self.path.read_bytes())) if self.path.exists() else {}

    def is_of(self, request: str) -> bool:
        """Whether there is a readable note of this request."""
        try:
            return self.read().get(self.key) == request
        except (OSError, ValueError, TypeError):
            return False

    def write(self, request: str, **facts: Any) -> dict[str, Any]:
        """Replace the note, and return its fields. Raises StoreError: the place cannot be written."""
        fields = {self.key: request, **facts}
        write_whole(self.path, json.dumps(fields, indent=1) + "\n")
        return fields


def write_tensors(
    path: Path,
    tensors: "Mapping[str, torch.Tensor]",
    metadata: Mapping[str, str] | None = None,
    content_keys: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write a safetensors file atomically, creating folders. The same content gives the same bytes.

    Args:
        tensors: on any device, in any memory layout.
        content_keys: more metadata keys, each set to its prefix followed by the SHA-256 (hex) of the bytes after the
            header: {"modelspec.hash_sha256": "0x"}.

    Raises:
        StoreError: the place cannot be written.
    """
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    room = {key: before + "0" * 64 for key, before in content_keys.items()}
    with new_file(path) as part:
        save_file(plain, part, None if metadata is None and not room else dict(metadata or {}) | room)
        _finish_metadata(part, content_keys)


def _finish_metadata(path: Path, content_keys: Mapping[str, str]) -> None:
    """Fill in the digest of the content, and sort the keys: safetensors writes them in random order."""
    with path.open("r+b") as stream:
        n_bytes = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(n_bytes))
        if metadata := header.get("__metadata__"):
            content = hashlib.file_digest(stream, "sha256").hexdigest() if content_keys else ""
            metadata |= {key: before + content for key, before in content_keys.items()}
            header["__metadata__"] = dict(sorted(metadata.items()))
            text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
            assert len(text) <= n_bytes, f"{path}: the header is not what safetensors writes"
            stream.seek(8)
            stream.write(text.ljust(n_bytes))


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A hidden file next to `path`, with the same extension, to be written inside the block; folders are created.

    It replaces `path` when the block ends, with the mode that the umask gives (safetensors gives its files 0600). If
    the block fails, the hidden file is removed.

    Raises:
        StoreError: the place cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    with _no_remains(path, part):
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as empty:
            mode = os.fstat(empty.fileno()).st_mode & 0o777
        yield part
        if part.stat().st_mode & 0o777 != mode:
            part.chmod(mode)
        part.replace(path)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str], *, replace: bool = False, synced: bool = False) -> Iterator[Path]:
    """A `work_folder` that becomes `path` when the block ends.

    Args:
        replace: remove an existing `path` first; otherwise it must be absent or empty.
        synced: written through to the disk before and after the rename, so that it also survives a power loss.

    Raises:
        StoreError: the place cannot be written.
    """
    with work_folder(path) as part:
        yield part
        if synced:
            sync(*part.rglob("*"), part)
        if replace:
            shutil.rmtree(path, ignore_errors=True)
        part.replace(path)
        if synced:
            sync(part.parent)


def sync(*paths: Path) -> None:
    """Write files, or the entries of folders, through to the disk."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def work_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A hidden, empty folder next to `path`, for one writer at a time; removed after the block with what is left in it.

    Raises:
        StoreError: the place cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    with _no_remains(path, part):
        shutil.rmtree(part, ignore_errors=True)  # left by a killed process
        part.mkdir(parents=True)
        yield part
    _remove(part)


def obey_umask(folder: str | os.PathLike[str]) -> None:
    """Give files that a library wrote the mode that the umask gives; safetensors gives its files 0600.

    Raises:
        StoreError: the folder cannot be written.
    """
    with work_folder(Path(folder) / "mode") as probe:
        (probe / "file").touch()
        mode = (probe / "file").stat().st_mode & 0o777
    for path in Path(folder).rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o777 == PRIVATE:
            path.chmod(mode)


@contextlib.contextmanager
def disk_errors(what: str = "", place: str = "the disk") -> Iterator[None]:
    """Turn every disk error inside the block into a StoreError; see `store_error`.

    Args:
        what: what was being done; starts the message.
        place: the likely folder if the error names no file.
    """
    try:
        yield
    except Exception as error:
        own = store_error(error, place=place)
        if own is None:
            raise
        raise StoreError(f"{what}: {own}" if what else str(own)) from error


def store_error(error: BaseException, path: str | os.PathLike[str] = "", place: str = "the disk") -> StoreError | None:
    """A disk error as one of ours, with the remedy; None if the error is something else.

    Args:
        error: an OSError, or what safetensors makes of one.
        path: what was being written; default: the file that the error names.
        place: what the message names if neither is known.
    """
    code = _code(error)
    if code is None:
        return None
    named, reason = getattr(error, "filename", None), getattr(error, "strerror", None)
    file = os.fspath(path) or (os.fsdecode(named) if isinstance(named, str | bytes) else "")
    verb = "cannot be written" if path else "cannot be read or written"
    return StoreError(f"{file or place}: {verb} ({reason or os.strerror(code)}); {_remedy(code, file)}")


def _code(error: BaseException) -> int | None:
    """The error number of a refused read or write; None for any other error, a lost connection included."""
    if isinstance(error, OSError):
        lost = isinstance(error, ConnectionError | TimeoutError)
        return None if lost else error.errno
    if type(error).__name__ == "SafetensorError" and (found := _RUST.search(str(error))):
        return int(found[1])
    if isinstance(error, sqlite3.OperationalError):
        return _SQLITE.get(error.sqlite_errorcode & 0xFF)
    return None


def _remedy(code: int, place: str) -> str:
    if code in FULL:
        return "free space there or use a path on another disk, then run again"
    if code in FORBIDDEN:
        return "fix its permissions or use a path that you can write to"
    if code in MISPLACED:
        above = next((p for p in (Path(place), *Path(place).parents) if os.path.lexists(p)), None) if place else None
        kind = "" if above is None or os.path.isdir(above) else f"{above} is a file, not a folder: "  # noqa: PTH112
        return f"{kind}use another path"
    return "check the disk, then run again"


@contextlib.contextmanager
def _no_remains(path: Path, part: Path) -> Iterator[None]:
    """Remove the part when the block fails, and raise our own error if writing the part is what failed."""
    try:
        yield
    except BaseException as error:
        _remove(part)
        own = store_error(error, path) if _concerns(error, part) else None
        if own is None:
            raise
        raise own from error


def _concerns(error: BaseException, part: Path) -> bool:
    """Whether the error is about writing here, and not about something being read at the same time."""
    named = getattr(error, "filename", None)
    if not isinstance(named, str | bytes) or _code(error) in OF_THE_DISK:
        return True
    place = Path(os.fsdecode(named))
    return place in (part, *part.parents) or part in place.parents


def _remove(part: Path) -> None:
    with contextlib.suppress(OSError):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
