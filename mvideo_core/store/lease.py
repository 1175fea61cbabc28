"""Leases: one owner per part on an object store, which has no locks. No two clocks are compared.

`locks/<name>/` holds numbered objects. Each is created by a conditional put, which only one of several writers wins.
The highest number owns the part and rewrites its object every RENEW_S. Whoever waits for it takes the next number when
the object has not changed for EXPIRE_S of the waiter's clock; at once if the owner gave the part back, or was a process
of this machine that is gone.

An owner that was paused for EXPIRE_S has lost the part and does not know it yet. So results do not depend on the lease:
rows, files and markers are conditional puts, too (`Folder.publish`, `Folder.create`), and the first marker counts.
"""

import contextlib
import functools
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mvideo_core.base.errors import StoreError
from mvideo_core.base.stopping import raise_if_stopped
from mvideo_core.processes.identity import ticks_of
from mvideo_core.store.files import Folder

log = logging.getLogger(__name__)

RENEW_S = 10.0
EXPIRE_S = 45.0
POLL_S = 1.0


class LeaseLost(StoreError):
    """Another process took over this part; its results count."""


class Lease:
    """This process's claim to one part.

    Args:
        name: of the part; its objects are in `locks/<name>/`.
        owner: who holds it, for the messages of those who wait.
    """

    def __init__(self, folder: Folder, name: str, owner: str):
        self._folder, self._name = folder, name
        self._content = {"id": uuid.uuid4().hex, "owner": owner, "process": _own_process()}
        self._number = 0
        self._seen: tuple[int, bytes] = (0, b"")
        self._seen_s = self._renewed_s = time.monotonic()
        self._is_lost = False

    @contextlib.contextmanager
    def hold(self, wait_s: float) -> Iterator[None]:
        """Own the part inside the block; it may be taken over meanwhile, which `check` tells.

        Raises:
            BlockingIOError: another live process still owns it after `wait_s`; its text is the owner.
            StoreError: the store does not respond.
        """
        deadline = time.monotonic() + wait_s
        while owner := self._try():
            if time.monotonic() >= deadline:
                raise BlockingIOError(owner)
            raise_if_stopped()
            time.sleep(POLL_S)
        stop = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(stop,), name="lease", daemon=True)
        renewing.start()
        finished = False
        try:
            yield
            finished = True
        finally:
            stop.set()
            renewing.join()
            self._give_back(finished)

    def check(self) -> None:
        """Raise if the part has another owner. Asks the store only if the last renewal is too long ago.

        Raises:
            LeaseLost: it has. StoreError: the store does not respond.
        """
        if not self._is_lost and time.monotonic() - self._renewed_s > 2 * RENEW_S:
            self._note(self._newest()[0])
        if self._is_lost:
            raise LeaseLost(
                f"{self._name}: another process took over this part, because this one did not renew its lease for "
                f"{EXPIRE_S:.0f} s; its results count"
            )

    def _try(self) -> str:
        """Take the next number if nobody owns the part. Returns: its owner; "" if that is this process."""
        number, content = self._newest()
        state = _state(content)
        if state.get("id") != self._content["id"]:  # otherwise the answer to our own put was lost
            if number and not self._is_over(number, content, state):
                return str(state.get("owner") or "another live process")
            number += 1
            if not self._folder.create(self._path(number), self._body()):
                return "another process, which was faster,"
        self._number, self._renewed_s = number, time.monotonic()
        return ""

    def _is_over(self, number: int, content: bytes, state: dict[str, Any]) -> bool:
        if state.get("released") or _is_gone(state.get("process")):
            return True
        if (number, content) != self._seen:
            self._seen, self._seen_s = (number, content), time.monotonic()
        return time.monotonic() - self._seen_s >= EXPIRE_S

    def _newest(self) -> tuple[int, bytes]:
        names = list(self._folder.walk(f"locks/{self._name}"))
        if not names:
            return 0, b""
        return int(Path(names[-1]).stem), self._folder.read_or_none(names[-1]) or b""

    def _renew(self, stop: threading.Event) -> None:
        beats = 0
        while not stop.wait(RENEW_S):
            try:
                self._note(self._newest()[0])
                if self._is_lost:
                    return
                beats += 1
                self._folder.write(self._path(self._number), self._body(beats=beats))
            except StoreError as error:
                log.warning("%s: cannot renew the lease: %s", self._name, error)

    def _note(self, newest: int) -> None:
        self._is_lost = newest != self._number
        self._renewed_s = time.monotonic()

    def _give_back(self, finished: bool) -> None:
        """Delete a finished part's lease; after an error, only mark it, so that numbers keep rising."""
        if self._is_lost:
            return
        try:
            if finished:
                self._folder.remove_files(list(self._folder.walk(f"locks/{self._name}")))
            else:
                self._folder.write(self._path(self._number), self._body(released=True))
        except StoreError as error:
            log.warning("%s: cannot give the lease back, so it expires in %.0f s: %s", self._name, EXPIRE_S, error)

    def _path(self, number: int) -> str:
        return f"locks/{self._name}/{number:08d}.json"

    def _body(self, **more: Any) -> bytes:
        return json.dumps(self._content | more).encode()


def _state(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _own_process() -> list[Any]:
    return [_machine(), os.getpid(), ticks_of(os.getpid())]


def _is_gone(process: Any) -> bool:
    """True if it was a process of this machine (and this container) that has ended; False if that is unknown."""
    if not isinstance(process, list) or len(process) != 3 or not _machine() or process[0] != _machine():
        return False
    return ticks_of(int(process[1])) != process[2]


@functools.cache
def _machine() -> str:
    """This boot of this machine, and the name space of its process ids; "" where that is unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
