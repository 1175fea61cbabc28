"""A folder at an fsspec URL, with atomic writes. Local folders rename; object stores put whole objects."""

import contextlib
import errno
import itertools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from inspect import signature
from pathlib import Path
from typing import IO, Any, NamedTuple

from mvideo_core.base.digests import sha256_of
from mvideo_core.base.disk import new_file, write_whole
from mvideo_core.base.errors import StoreError
from mvideo_core.base.listing import all_files
from mvideo_core.store.remote import OBJECT_STORES, remote_errors

DELETE_AT_ONCE = 1000
READ_AT_ONCE = 256


class Folder:
    """Files below one root. Paths are relative with forward slashes.

    Args:
        url: a local path or any fsspec URL ("memory://x", "s3://bucket/prefix").
    """

    def __init__(self, url: str):
        import fsspec

        if "://" not in url:
            url = str(Path(url).expanduser().resolve())
        try:
            self.fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StoreError(
                f"workspace {url!r}: {error}; give a local path or a URL whose fsspec driver is installed"
            ) from None
        self.root = root.rstrip("/")
        self.url = url
        protocols = {self.fs.protocol} if isinstance(self.fs.protocol, str) else set(self.fs.protocol)
        self.is_local = not protocols.isdisjoint(("file", "local"))
        self._flat = not protocols.isdisjoint(OBJECT_STORES)
        if not self.is_local and (marks := sorted({*self.root} & {*"*?["})):
            raise StoreError(
                f"{url}: {' '.join(marks)} in its path, which drivers of object stores read as a pattern; rename it"
            )
        self._made: set[str] = set()
        reader = getattr(type(self.fs), "_cat_file", None)
        # s3fs asks for the size of each file before reading it, so that it can read large ones in pieces
        self._whole = {"max_concurrency": 1} if reader and "max_concurrency" in signature(reader).parameters else {}
        writer = getattr(type(self.fs), "_pipe_file", type(self.fs).pipe_file)
        self._new_only = {"mode": "create"} if self._flat and "mode" in signature(writer).parameters else {}

    def at(self, path: str) -> str:
        """Full path inside the file system."""
        if path.startswith("/") or ".." in path.split("/"):
            raise StoreError(f"path {path!r} leaves the workspace")
        return f"{self.root}/{path}" if path else self.root

    def exists(self, path: str) -> bool:
        """True if a file (or folder) of that name exists."""
        if self.is_local:
            return os.path.exists(self.at(path))  # noqa: PTH110
        with remote_errors(self.url, f"looking for {path}"):
            return bool(self.fs.exists(self.at(path)))

    def size(self, path: str) -> int | None:
        """Size of a file in bytes; None if it does not exist."""
        try:
            if self.is_local:
                return os.stat(self.at(path)).st_size  # noqa: PTH116
            with remote_errors(self.url, f"looking for {path}"):
                return int(self.fs.size(self.at(path)))
        except FileNotFoundError:
            return None

    def open(self, path: str) -> IO[bytes]:
        """The file opened for reading."""
        try:
            with remote_errors(self.url, f"reading {path}"):
                return self.fs.open(self.at(path), "rb")
        except FileNotFoundError:
            raise StoreError(f"{self.url}: {path} is missing; `mvideo verify` lists all missing files") from None

    def read(self, path: str) -> bytes:
        """All bytes of a file, with one request on an object store.

        Raises:
            StoreError: it does not exist or cannot be read.
        """
        content = self.read_or_none(path)
        if content is None:
            raise StoreError(f"{self.url}: {path} is missing; `mvideo verify` lists all missing files")
        return content

    def read_or_none(self, path: str) -> bytes | None:
        """All bytes of a file, or None if it does not exist."""
        try:
            if self.is_local:
                return Path(self.at(path)).read_bytes()
            with remote_errors(self.url, f"reading {path}"):
                return bytes(self.fs.cat_file(self.at(path), **self._whole))
        except FileNotFoundError:
            return None

    def read_many(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Contents of the files that exist, by path; an object store gets many requests at once."""
        if self.is_local:
            return {path: content for path in paths if (content := self.read_or_none(path)) is not None}
        found: dict[str, bytes] = {}
        by_place = {self.at(path): path for path in paths}
        with remote_errors(self.url, f"reading {len(paths)} files"):
            places = list(by_place)
            for start in range(0, len(places), READ_AT_ONCE):
                contents = self.fs.cat(places[start : start + READ_AT_ONCE], on_error="return", **self._whole)
                for place, content in contents.items():
                    if isinstance(content, bytes):
                        found[by_place[place]] = content
                    elif not isinstance(content, FileNotFoundError):
                        raise content
        return found

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file or nothing: no reader sees half of it."""
        target = self.at(path)
        if not self.is_local:
            with remote_errors(self.url, f"writing {path}", writes=True):
                self._put(content, path)
            return
        write_whole(Path(target), content)

    def adopt(self, local: Path, path: str) -> None:
        """Move a finished local file to its final name (rename, or upload and delete)."""
        target = self.at(path)
        if self.is_local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            try:
                local.replace(target)
            except OSError:  # another file system: copy next to the target, then rename
                with new_file(target) as part:
                    shutil.copyfile(local, part)
                local.unlink()
            return
        with remote_errors(self.url, f"writing {path}", writes=True):
            self._put(local, path)
        local.unlink()

    def create(self, path: str, content: bytes) -> bool:
        """Write a file that does not exist yet; False if it does, unless its content is the same.

        On object stores this is one conditional put: of several writers, one gets True. A driver without such puts is
        asked before (then two writers at the same moment can both get True), as are local folders, which have locks.
        """
        return self._create(content, path) or self.read_or_none(path) == content

    def publish(self, source: Path | bytes, path: str, sha256: str) -> str:
        """Store the output of a stage so that no other writer changes it. A local file is deleted afterwards.

        Local folders replace the file: its part has one owner. On object stores, where a paused owner may wake up, an
        existing object is never overwritten. If its content differs, the new one gets a name with its digest.

        Returns:
            Its path: `path`, or `path` with digits of the digest.
        """
        if self.is_local:
            self.adopt(source, path) if isinstance(source, Path) else self.write(path, source)
            return path
        stem, _, extension = path.rpartition(".")
        for name in (path, f"{stem}-{sha256[:8]}.{extension}"):
            if not self._create(source, name):
                if self.sha256(name) != sha256:
                    continue
                with remote_errors(self.url, f"writing {name}", writes=True):
                    self._put(source, name)  # the same bytes, which are now too young for a gc
            if isinstance(source, Path):
                source.unlink()
            return name
        raise StoreError(f"{self.url}: {name} is damaged (its SHA-256 is not {sha256}); delete it, then run again")

    def _create(self, source: Path | bytes, path: str) -> bool:
        if not self._new_only and self.exists(path):
            return False
        if self.is_local:
            self.adopt(source, path) if isinstance(source, Path) else self.write(path, source)
            return True
        with remote_errors(self.url, f"writing {path}", writes=True):
            try:
                self._put(source, path, **self._new_only)
            except OSError as error:  # s3fs: EINVAL for a failed condition whose name the server leaves out
                if isinstance(error, FileExistsError) or (error.errno == errno.EINVAL and self.exists(path)):
                    return False
                raise
        return True

    def _put(self, source: Path | bytes, path: str, **how: str) -> None:
        target = self.at(path)
        self._make_folder_of(target)
        if isinstance(source, Path):
            self.fs.put_file(str(source), target, **how)
        else:
            self.fs.pipe_file(target, source, **how)

    def _make_folder_of(self, target: str) -> None:
        """For remote file systems with folders; on object stores this would cost requests and create buckets."""
        parent = target.rsplit("/", 1)[0]
        if not self._flat and parent not in self._made:
            self.fs.makedirs(parent, exist_ok=True)
            self._made.add(parent)

    def remove(self, path: str) -> None:
        """Delete a file or a tree; a missing one is fine."""
        target = self.at(path)
        try:
            with remote_errors(self.url, f"deleting {path}"):
                self.fs.rm(target, recursive=True)
        except FileNotFoundError:
            return

    def walk(self, path: str) -> Iterator[str]:
        """Relative names of all files below a folder, sorted; none if the folder does not exist.

        Raises:
            OSError: a folder cannot be listed.
        """
        base = self.at(path)
        if self.is_local:
            if not Path(base).is_dir():
                return
            names: list[Any] = [str(one) for one in all_files(base)]
        else:
            names = list(self._find(path))
        prefix = len(self.root) + 1
        yield from sorted(name[prefix:] for name in names)

    def names(self, path: str) -> list[str]:
        """Names of the files and folders directly in a folder, sorted; none if the folder does not exist."""
        try:
            with remote_errors(self.url, f"listing {path}"):
                found = self.fs.ls(self.at(path), detail=False)
                self.fs.invalidate_cache()
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted({str(name).rstrip("/").rsplit("/", 1)[-1] for name in found})

    def files(self, path: str) -> list["FileFacts"]:
        """Size and age of all files below a folder, by name: one listing, no request per file."""
        if self.is_local:
            return [FileFacts(name, *_facts_of(self.at(name))) for name in self.walk(path)]
        prefix = len(self.root) + 1
        facts = (
            FileFacts(name[prefix:], int(info.get("size") or 0), _modification_time_s(info))
            for name, info in self._find(path).items()
        )
        return sorted(facts)

    def _find(self, path: str) -> dict[str, Any]:
        """An object store's facts about all files below a folder. Drivers cache listings; this one is always fresh."""
        try:
            with remote_errors(self.url, f"listing {path}"):
                found: dict[str, Any] = self.fs.find(self.at(path), detail=True)
                self.fs.invalidate_cache()
        except FileNotFoundError:
            return {}
        return found

    def remove_files(self, paths: Sequence[str]) -> None:
        """Delete files, and local folders that become empty; missing ones are fine. One request covers many objects."""
        if not self.is_local:
            for start in range(0, len(paths), DELETE_AT_ONCE):
                with contextlib.suppress(FileNotFoundError), remote_errors(self.url, "deleting files"):
                    self.fs.rm([self.at(path) for path in paths[start : start + DELETE_AT_ONCE]])
            return
        for path in paths:
            target = Path(self.at(path))
            target.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the first folder that is not empty
                for folder in itertools.islice(target.parents, path.count("/") - 1):
                    folder.rmdir()

    def sha256(self, path: str) -> str:
        """SHA-256 of a file, read in chunks."""
        with self.open(path) as stream:
            return sha256_of(stream)


class FileFacts(NamedTuple):
    """A file of a folder. `modified_s`: seconds since 1970; None if the store does not know."""

    path: str
    size_bytes: int
    modified_s: float | None


def _facts_of(path: str) -> tuple[int, float | None]:
    try:
        facts = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:  # gone since it was listed
        return 0, None
    return facts.st_size, facts.st_mtime


def _modification_time_s(info: Mapping[str, Any]) -> float | None:
    """When an object was written, under the drivers' different names (S3, Google, Azure, memory)."""
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = info.get(name)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, int | float):
            return float(value)
    return None
