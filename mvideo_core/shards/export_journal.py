"""The list of finished samples of an export or import, so that a killed one continues: a request, then the samples."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mvideo_core.base.errors import StoreError
from mvideo_core.shards.exports import Entry

NAME = ".export.jsonl"


def describe(request: Entry) -> str:
    """A request in a few words."""
    return ", ".join(
        f"{name} {str(request[name])[:16]}" if name != "format" else str(request[name])
        for name in ("format", "split", "dataset", "source")
        if name in request
    )


def _object(line: bytes) -> Entry:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return {}


class ExportJournal:
    """Entries in the order of the index, appended as they are finished.

    Args:
        out: folder of the export, or one of its own for an import.
        request: everything that decides the files.
        work: "export" or "import", for messages.

    Raises:
        StoreError: the folder holds something else, or the list is damaged.
    """

    def __init__(self, out: Path, request: Entry, work: str = "export"):
        self.path, self._work = out / NAME, work
        self.n_done = 0
        head = json.dumps(request, sort_keys=True).encode() + b"\n"
        if self._take_over(head):
            self._stream: IO[bytes] = self.path.open("ab", buffering=0)
            return
        others = sorted(one.name for one in out.iterdir() if one.name not in (NAME, ".lock"))
        if others:
            raise StoreError(f"{out}: not empty ({', '.join(others[:3])}) and not an {work}; use an empty folder")
        self._stream = self.path.open("wb", buffering=0)
        self._stream.write(head)

    def append(self, entry: Entry) -> None:
        """Add a sample whose files are written."""
        self._stream.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self.n_done += 1

    def entries(self, split: str) -> Iterator[Entry]:
        """All entries of a split, one at a time."""
        with self.path.open("rb") as stream:
            next(stream)
            for number, line in enumerate(stream, 2):
                entry = self._parse(line, number)
                if entry["split"] == split:
                    yield entry

    def close(self) -> None:
        """Release the file."""
        self._stream.close()

    def discard(self) -> None:
        """Remove the list of a finished export."""
        self.close()
        self.path.unlink()

    def _take_over(self, head: bytes) -> bool:
        """Find the entries of a killed export and cut off a torn last line; False if there is none."""
        if not self.path.exists():
            return False
        with self.path.open("r+b") as stream:
            first = stream.readline()
            if not first.endswith(b"\n"):
                return False
            if first != head:
                old, new = _object(first), _object(head)
                kind, what = "another, unfinished export", describe(old)
                if self._work != "export":
                    kind = f"another {self._work}"
                    what += f"; other {', '.join(name for name in new if old.get(name) != new[name])}"
                raise StoreError(f"{self.path.parent}: holds {kind} ({what}); use another folder, or delete this one")
            whole = stream.tell()
            for number, line in enumerate(stream, 2):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                self._parse(line, number)
                self.n_done += 1
            stream.truncate(whole)
        return True

    def _parse(self, line: bytes, number: int) -> Entry:
        try:
            entry = dict(json.loads(line))
            entry["key"], entry["split"]
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"{self.path}: line {number} is damaged ({error}); delete {self.path.parent} and {self._work} again"
            ) from None
        return entry
