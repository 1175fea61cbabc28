"""Byte ranges of a dataset's files, at a local path or an fsspec URL; safe in threads and worker processes."""

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

from mvideo_core.base.errors import StoreError
from mvideo_core.store.remote import remote_errors

MAX_OPEN = 16


class DatasetFiles:
    """Reads below one root. Local files stay open (a few of them) and are read by position, without a shared cursor.

    Args:
        root: local folder or fsspec URL ("s3://bucket/dataset").
    """

    def __init__(self, root: str | os.PathLike[str]):
        self.root = str(root).rstrip("/")
        self._local = "://" not in self.root
        self._open: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()  # another thread must not close what this one reads
        self._owner = os.getpid()
        self._fs: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["root"])  # type: ignore[misc]

    def read(self, path: str) -> bytes:
        """A whole file.

        Raises:
            StoreError: it does not exist or cannot be read.
        """
        with self.open(path) as stream:
            return stream.read()

    def open(self, path: str) -> IO[bytes]:
        """A file for reading, seekable.

        Raises:
            StoreError: it does not exist or cannot be read.
        """
        try:
            if self._local:
                return Path(self._at(path)).open("rb")
            with remote_errors(self.root, f"reading {path}"):
                return self._remote().open(self._at(path), "rb")
        except OSError as error:
            raise StoreError(f"{self._at(path)}: cannot be read: {error}") from error

    def size(self, path: str) -> int | None:
        """Size of a file in bytes; None if it does not exist."""
        try:
            if self._local:
                return Path(self._at(path)).stat().st_size
            with remote_errors(self.root, f"looking for {path}"):
                return int(self._remote().size(self._at(path)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self._at(path)}: cannot be read: {error}") from error

    def read_range(self, path: str, offset_bytes: int, size_bytes: int) -> bytes:
        """Exactly `size_bytes` from `offset_bytes` on: one positioned read, or one ranged request.

        Raises:
            StoreError: the file is missing or ends too early.
        """
        try:
            if self._local:
                with self._lock:
                    descriptor = os.dup(self._descriptor(path))
                try:
                    content = _read_at(descriptor, offset_bytes, size_bytes)
                finally:
                    os.close(descriptor)
            else:
                with remote_errors(self.root, f"reading {path}"):
                    end_bytes = offset_bytes + size_bytes
                    content = self._remote().cat_file(self._at(path), start=offset_bytes, end=end_bytes)
        except OSError as error:
            raise StoreError(f"{self._at(path)}: cannot be read: {error}") from error
        if len(content) != size_bytes:
            raise StoreError(f"{self._at(path)}: {len(content)} of {size_bytes} bytes at {offset_bytes}: truncated")
        return content

    def _at(self, path: str) -> str:
        if path.startswith("/") or ".." in path.split("/"):
            raise StoreError(f"path {path!r} leaves the dataset {self.root}")
        return f"{self.root}/{path}"

    def _remote(self) -> Any:
        """The file system of the URL, recreated in a forked child (its threads do not survive a fork)."""
        if self._fs is None or self._owner != os.getpid():
            import fsspec

            self._fs, self._owner = fsspec.core.url_to_fs(self.root)[0], os.getpid()
        return self._fs

    def _descriptor(self, path: str) -> int:
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        descriptor = os.open(self._at(path), os.O_RDONLY)
        self._open[path] = descriptor
        if len(self._open) > MAX_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def __del__(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)


def _read_at(descriptor: int, offset_bytes: int, size_bytes: int) -> bytes:
    content = os.pread(descriptor, size_bytes, offset_bytes)
    while len(content) < size_bytes:  # one call returns at most 2 GiB
        more = os.pread(descriptor, size_bytes - len(content), offset_bytes + len(content))
        if not more:
            break
        content += more
    return content
