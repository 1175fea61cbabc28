"""Advisory file locks that the kernel releases when their holder dies, however it dies."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mvideo_core.base.errors import StoreError
from mvideo_core.base.stopping import raise_if_stopped

POLL_S = 0.2


@contextlib.contextmanager
def file_lock(path: Path, *, shared: bool = False, wait_s: float = 0.0, owner: str = "") -> Iterator[None]:
    """Hold the lock of one file; the file and its folder are created if needed.

    Args:
        shared: any number of shared holders at once, but none alongside an exclusive one.
        wait_s: how long to wait for other holders.
        owner: what the file says about its holder from now on.

    Raises:
        BlockingIOError: another live process, or another thread of this one, still holds it; its text is the owner.
        StoreError: the file cannot be created, or its file system has no locks.
    """
    deadline = time.monotonic() + wait_s
    with _open_lock(path) as stream:
        while not try_lock(stream, path, shared=shared):
            if time.monotonic() >= deadline:
                stream.seek(0)
                raise BlockingIOError(stream.read().strip() or "another live process")
            raise_if_stopped()
            time.sleep(POLL_S)
        if owner:
            stream.truncate(0)
            stream.write(owner)
            stream.flush()
        yield


@contextlib.contextmanager
def sole_owner(folder: Path, work: str, setting: str) -> Iterator[None]:
    """Hold the lock of an output folder, its file `.lock`.

    Args:
        work: what is done there, such as "training"; `setting`: what names another folder. Both for the message.

    Raises:
        StoreError: another live process does this work in this folder.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(file_lock(folder / ".lock", owner=str(os.getpid())))
        except BlockingIOError as owner:
            raise StoreError(
                f"{folder}: another live {work} (process {owner}) writes here; stop it or use another {setting}"
            ) from None
        yield


def try_lock(stream: IO[Any], path: Path, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed; False if another process, or another thread of this one, holds it.

    Raises:
        StoreError: its file system has no locks.
    """
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(stream, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreError(
            f"{path}: this file system has no locks ({error.strerror}); mount it with flock, or use a different one"
        ) from error
    return True


def _open_lock(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # NFS grants a shared lock only on a file that is open for reading, too.
        return path.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise StoreError(
            f"{path}: cannot write this lock file ({error.strerror}); fix permissions or the disk"
        ) from error


@contextlib.contextmanager
def folder_in_use(root: str) -> Iterator[None]:
    """Keep `mvideo gc` from deleting a dataset or latents while they are read.

    Args:
        root: `<workspace>/datasets/<key>` or `<workspace>/latents/<key>`. Anywhere else gc deletes nothing, and a URL
            has no locks: then nothing is held.

    Raises:
        BlockingIOError: gc is deleting this folder.
    """
    path = Path(root).expanduser().absolute()
    workspace = path.parent.parent
    with contextlib.ExitStack() as held:
        if "://" not in root and (workspace / "workspace.json").is_file():
            with contextlib.suppress(StoreError):  # a read-only workspace
                held.enter_context(file_lock(folder_lock(workspace, path.parent.name, path.name), shared=True))
        yield


def folder_lock(workspace: Path, area: str, key: str) -> Path:
    """Lock file of one folder of "datasets" or "latents" in a workspace."""
    return workspace / "locks" / f"{area}-{key}.lock"
