"""One owner per part: an advisory lock that the kernel drops when its holder dies, however it dies."""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from mvideo_core.errors import StoreError
from mvideo_core.store.files import Folder

POLL_S = 0.2


@contextlib.contextmanager
def part_lock(folder: Folder, name: str, wait_s: float) -> Iterator[None]:
    """Hold the lock of one part.

    Args:
        name: lock file below `locks/`.
        wait_s: how long to wait for another live owner.

    Raises:
        StoreError: another process still works on this part.

    Object stores have no lock: two owners there would write the same bytes twice, which is wasteful but not wrong.
    """
    if not folder.is_local:
        yield
        return
    path = Path(folder.at(f"locks/{name}.lock"))
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with path.open("a") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"{name}: another live process works on this part (waited {wait_s:.0f} s); "
                        "stop it, or wait for it, then run again"
                    ) from None
                time.sleep(POLL_S)
        yield
