"""Who works where: one owner per part, and stages that are in use, which `mvideo gc` leaves alone.

Object stores have no locks. Two owners of a part there write the same bytes twice, which is wasteful but not wrong; gc
deletes only files of some age there.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from mvideo_core.errors import StoreError
from mvideo_core.locks import file_lock
from mvideo_core.store.files import Folder

log = logging.getLogger(__name__)

GC_WAIT_S = 3600.0
"""How long work waits for a `mvideo gc` that is deleting files of the same stage."""


@contextlib.contextmanager
def part_lock(folder: Folder, name: str, wait_s: float) -> Iterator[None]:
    """Hold the lock of one part.

    Args:
        name: lock file below `locks/`.
        wait_s: how long to wait for another live owner.

    Raises:
        StoreError: another process still works on this part.
    """
    if not folder.is_local:
        yield
        return
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(file_lock(_path(folder, name), wait_s=wait_s))
        except BlockingIOError:
            raise StoreError(
                f"{name}: another live process works on this part (waited {wait_s:.0f} s); "
                "stop it, or wait for it, then run again"
            ) from None
        yield


@contextlib.contextmanager
def stages_in_use(folder: Folder, stages: Iterable[str]) -> Iterator[None]:
    """Keep `mvideo gc` away from the files of some stages; any number of processes may use a stage at once.

    Args:
        stages: whose files are read or written.

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
    """Hold the files of some stages alone, without waiting.

    Yields:
        Stages that another live process uses; nothing may be deleted when there are any.
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
