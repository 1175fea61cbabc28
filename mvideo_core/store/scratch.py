"""Temporary folders; one left by a killed process is removed at the next start on that machine."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mvideo_core.base.errors import StoreError
from mvideo_core.base.locks import file_lock

PREFIX = "mvideo-"
OWNER = ".owner"
"""A file that the folder's process keeps locked while it lives."""


@contextlib.contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """An empty folder for this process alone below TMPDIR; those of dead processes are removed first.

    Args:
        name: its purpose; part of the folder's name.
    """
    _sweep(Path(tempfile.gettempdir()))
    folder, lock = _create_owned(name)
    with lock:
        try:
            inside = folder / "files"
            inside.mkdir()
            yield inside
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _create_owned(name: str) -> tuple[Path, contextlib.ExitStack]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-"))
        lock = contextlib.ExitStack()
        with contextlib.suppress(BlockingIOError):  # another process took it for a leftover before it was locked
            lock.enter_context(file_lock(folder / OWNER))
            if (folder / OWNER).exists():
                return folder, lock
        lock.close()


def _sweep(root: Path) -> None:
    for owner in root.glob(f"{PREFIX}*/{OWNER}"):
        with contextlib.suppress(BlockingIOError, StoreError), file_lock(owner):
            shutil.rmtree(owner.parent, ignore_errors=True)
