"""Locks: one process per part; `mvideo gc` skips stages that are in use.

Object stores have no locks: there a lease gives each part one owner (`store/lease.py`), and gc deletes only files above
a certain age.
"""

import contextlib
import itertools
import logging
import math
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mvideo_core.base.errors import StoreError
from mvideo_core.base.locks import file_lock
from mvideo_core.store.files import Folder
from mvideo_core.store.lease import Lease

log = logging.getLogger(__name__)

FIRST_WORD_S, NEXT_WORD_S = 1.0, 60.0
"""Seconds until the first log line about waiting for a part, and between repeats."""
GC_WAIT_S = 3600.0
"""How long work waits for a `mvideo gc` that is deleting files of the same stage."""


@contextlib.contextmanager
def part_lock(folder: Folder, name: str, wait_s: float = math.inf) -> Iterator[Callable[[], None]]:
    """Hold the lock of one part; wait for another owner as long as it lives, and log who it is.

    Args:
        name: lock file, or folder of leases, below `locks/`.
        wait_s: longest wait.

    Yields:
        A check that raises `LeaseLost` once another process has taken over the part; never on local disks.

    Raises:
        StoreError: another process still works on this part after `wait_s`.
    """
    started_s = time.monotonic()
    own = f"process {os.getpid()} on {socket.gethostname()}"
    lease = None if folder.is_local else Lease(folder, name, own)
    with contextlib.ExitStack() as held:
        for patience_s in itertools.chain([FIRST_WORD_S], itertools.repeat(NEXT_WORD_S)):
            left_s = min(patience_s, max(0.0, wait_s - (time.monotonic() - started_s)))
            lock = lease.hold(left_s) if lease else file_lock(_path(folder, name), wait_s=left_s, owner=own)
            try:
                held.enter_context(lock)
                break
            except BlockingIOError as owner:
                waited_s = time.monotonic() - started_s
                if waited_s >= wait_s:
                    raise StoreError(
                        f"{name}: {owner} works on this part (waited {waited_s:.0f} s); stop it, or wait for "
                        "it, then run again"
                    ) from None
                log.info("%s: waiting for %s, which works on this part (%.0f s)", name, owner, waited_s)
        yield lease.check if lease else _check_nothing


def _check_nothing() -> None:
    """A local lock is held until it is released."""


@contextlib.contextmanager
def stages_in_use(folder: Folder, stages: Iterable[str]) -> Iterator[None]:
    """Keep `mvideo gc` away from the files of some stages; any number of processes may use a stage at once.

    Args:
        stages: the stages whose files are read or written.

    Raises:
        StoreError: a gc has been deleting files of such a stage for an hour.
    """
    with contextlib.ExitStack() as held:
        for stage in sorted(set(stages)) if folder.is_local else ():
            path = _path(folder, f"stage-{stage}")
            try:
                held.enter_context(file_lock(path, shared=True))
            except BlockingIOError:
                log.info("waiting for `mvideo gc`, which deletes files of stage %s", stage)
                held.enter_context(_after_gc(path, stage))
        yield


@contextlib.contextmanager
def stages_unused(folder: Folder, stages: Iterable[str]) -> Iterator[list[str]]:
    """Lock the files of some stages exclusively, without waiting.

    Yields:
        Stages that another live process uses; if there are any, nothing may be deleted.
    """
    busy: list[str] = []
    with contextlib.ExitStack() as held:
        for stage in sorted(set(stages)) if folder.is_local else ():
            try:
                held.enter_context(file_lock(_path(folder, f"stage-{stage}")))
            except BlockingIOError:
                busy.append(stage)
        yield busy


@contextlib.contextmanager
def _after_gc(path: Path, stage: str) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(file_lock(path, shared=True, wait_s=GC_WAIT_S))
        except BlockingIOError:
            raise StoreError(
                f"stage {stage}: a `mvideo gc` has held its files for an hour; stop it, run again"
            ) from None
        yield


def _path(folder: Folder, name: str) -> Path:
    return Path(folder.at(f"locks/{name}.lock"))
