"""A large file that grows piece by piece and, after a kill, resumes after the last whole piece.

Pieces go into a file below `tmp/`; after each, a journal records its end and digest. Object stores cannot append: there
the file stays in scratch, and a killed shard starts over.
"""

import hashlib
from pathlib import Path
from typing import Any

from mvideo_core.base.digests import sha256_of
from mvideo_core.base.records import Blob
from mvideo_core.engine.stage import StageContext
from mvideo_core.store.journal import Journal


class GrowingFile:
    """One file in progress. Whatever an earlier process wrote and journaled completely is reused.

    Attributes:
        size_bytes: current size.
        notes: the note of each piece, in order.

    Args:
        name: unique for the content, e.g. an item's content key.
    """

    def __init__(self, context: StageContext, name: str):
        folder = context.workspace.folder
        self._context = context
        self._journal: Journal | None = None
        self._path = context.scratch / f"{name}.growing"
        self.size_bytes = 0
        self.notes: list[Any] = []
        if folder.is_local:
            self._path = Path(folder.at(f"tmp/{context.stage}-growing/{name}"))
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(folder, f"journal/{context.stage}-growing/{name}.jsonl")
        self._take_over()
        self._stream = self._path.open("ab")

    def append(self, content: bytes, note: Any) -> None:
        """Add a piece; after this returns, killing the process does not lose it.

        Args:
            note: anything JSON can hold.
        """
        self._stream.write(content)
        self._stream.flush()
        self.size_bytes += len(content)
        self.notes.append(note)
        if self._journal is not None:
            sha256 = hashlib.sha256(content).hexdigest()
            self._journal.append({"end_bytes": self.size_bytes, "sha256": sha256, "note": note})

    def finish(self, content: bytes, path: str) -> Blob:
        """Add the last bytes and move the file to its final name."""
        self._stream.write(content)
        self._stream.close()
        size_bytes = self._path.stat().st_size
        with self._path.open("rb") as stream:
            sha256 = sha256_of(stream)
        published = self._context.workspace.folder.publish(self._path, path, sha256)
        if self._journal is not None:
            self._journal.discard()
        return Blob(path=published, sha256=sha256, size_bytes=size_bytes)

    def close(self) -> None:
        """Release the files; the next process continues from here."""
        self._stream.close()
        if self._journal is not None:
            self._journal.close()

    def _take_over(self) -> None:
        """Find the pieces that match the journal, and truncate the file after them."""
        if self._journal is None or not self._path.exists():
            if self._journal is not None:
                self._journal.discard()
            return
        events = self._journal.events()
        with self._path.open("r+b") as stream:
            for event in events:
                if sha256_of(stream, event["end_bytes"] - self.size_bytes) != event["sha256"]:
                    break
                self.size_bytes = event["end_bytes"]
                self.notes.append(event["note"])
            stream.truncate(self.size_bytes)
        if len(self.notes) < len(events):  # after a power loss: forget what the disk did not keep
            self._journal.discard()
            for event in events[: len(self.notes)]:
                self._journal.append(event)
