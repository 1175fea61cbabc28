"""Progress inside an unfinished part: one JSON line per event, safe against a kill at any byte.

An unusable event (damaged, or with rows that no table holds) is moved to a file next to the journal.

Local workspaces append to one file. Object stores cannot append: events are collected into objects, written before work
starts and every few seconds. A kill loses the items finished since then; they are processed again.
"""

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mvideo_core.store.files import Folder

log = logging.getLogger(__name__)

SYNC_EVERY_S = 1.0
WRITE_EVERY_S = 5.0
WAITS = ("done",)
"""Events that an object store may get later: losing them only repeats work."""


class Journal:
    """Events of one part in the order written. `append` returns once the event survives a kill of the process; on
    object stores, `done` events may wait up to WRITE_EVERY_S.
    """

    def __init__(self, folder: Folder, path: str):
        self.folder = folder
        self.path = path
        self._count = 0
        self._synced_at = 0.0
        self._waiting: list[bytes] = []
        self._stream: Any = None

    def events(self) -> list[dict[str, Any]]:
        """All readable events; a torn last line (killed while writing) is cut off, other damaged lines are skipped."""
        return list(self._local_events() if self.folder.is_local else self._remote_events())

    def append(self, event: dict[str, Any]) -> None:
        """Write one event."""
        line = json.dumps(event, separators=(",", ":"), sort_keys=True).encode() + b"\n"
        if not self.folder.is_local:
            self._waiting.append(line)
            if event.get("event") not in WAITS or time.monotonic() - self._synced_at > WRITE_EVERY_S:
                self._write_waiting()
            return
        if self._stream is None:
            target = Path(self.folder.at(self.path))
            target.parent.mkdir(parents=True, exist_ok=True)
            self._stream = open(target, "ab", buffering=0)  # noqa: SIM115 - closed in close()
        self._stream.write(line)
        now = time.monotonic()
        if now - self._synced_at > SYNC_EVERY_S:  # against power loss; a kill -9 loses nothing written
            os.fsync(self._stream.fileno())
            self._synced_at = now

    def set_aside(self, bad: Sequence[tuple[dict[str, Any], str]]) -> None:
        """Copy unusable events to a file next to the journal and log them; their items are processed again.

        Args:
            bad: events, each with what is wrong with it.
        """
        if not bad:
            return
        lines = [json.dumps({"why": why, "event": event}, sort_keys=True) for event, why in bad]
        self.folder.write(f"{self.path}.bad", "".join(f"{line}\n" for line in lines).encode())
        items = ", ".join(str(event.get("item", "(no item)")) for event, _ in bad[:5])
        log.warning(
            "%s: %d unusable events moved to %s.bad (items %s%s; %s); their items are processed again",
            self.path, len(bad), self.path, items, ", ..." if len(bad) > 5 else "", bad[0][1],
        )  # fmt: skip

    def close(self) -> None:
        """Write what is pending, and release the file."""
        self._write_waiting()
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def discard(self) -> None:
        """Forget the part: its rows are committed."""
        self._waiting.clear()
        self.close()
        if self.folder.is_local:
            self.folder.remove(self.path)
        else:
            self.folder.remove_files(list(self.folder.walk(self.path)))

    def _local_events(self) -> Iterator[dict[str, Any]]:
        target = Path(self.folder.at(self.path))
        if not target.exists():
            return
        whole = 0
        with target.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                event = _event(line)
                if event is None:
                    log.warning("%s: line %d is damaged; its item is processed again", target, number)
                    continue
                yield event
        if whole < target.stat().st_size:
            with target.open("r+b") as stream:
                stream.truncate(whole)

    def _write_waiting(self) -> None:
        if self._waiting:
            self.folder.write(f"{self.path}/{self._count:08d}.json", b"".join(self._waiting))
            self._count += 1
            self._waiting.clear()
            self._synced_at = time.monotonic()

    def _remote_events(self) -> Iterator[dict[str, Any]]:
        names = list(self.folder.walk(self.path))
        contents = self.folder.read_many(names)
        for name in names:
            self._count = int(name.rsplit("/", 1)[1].split(".")[0]) + 1
            for line in contents.get(name, b"").splitlines(keepends=True):
                event = _event(line)
                if event is not None:
                    yield event


def _event(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
