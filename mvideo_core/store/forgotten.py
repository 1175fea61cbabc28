"""Sources that a workspace has forgotten, so that no later plan takes them in again.

`forgotten.json` holds salted digests of their bytes and addresses: it can tell that a file is one of them, and says
nothing about them to whoever reads it.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable
from pathlib import Path

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.errors import StoreError
from mvideo_core.store.workspace import Workspace

NAME = "forgotten.json"


class Forgotten:
    """The list of one workspace.

    Raises:
        StoreError: the file is damaged.
    """

    def __init__(self, workspace: Workspace):
        self.workspace = workspace
        content = workspace.folder.read_or_none(NAME)
        try:
            found = json.loads(content) if content is not None else {}
            self.salt: str = found.get("salt") or secrets.token_hex(16)
            self.entries: dict[str, int] = {str(key): int(size) for key, size in found.get("entries", {}).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{workspace.url}: {NAME} is damaged ({error}); restore it, or delete it and repeat the removals"
            ) from None
        self._sizes = set(self.entries.values()) - {0}

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, sources: Iterable[tuple[str, str, int]]) -> None:
        """Add sources: (SHA-256, URL, bytes) of each, "" and 0 where unknown."""
        for sha256, url, size_bytes in sources:
            if sha256:
                self.entries[self._digest(sha256)] = size_bytes
            if url:
                self.entries[self._digest(url)] = 0
        content = {"salt": self.salt, "entries": dict(sorted(self.entries.items()))}
        self.workspace.folder.write(NAME, (json.dumps(content, indent=1) + "\n").encode())

    def holds(self, url: str, path: Path | None) -> bool:
        """Whether a source is one of them; a file is only read if one of them has its size."""
        if not self.entries:
            return False
        if url and self._digest(url) in self.entries:
            return True
        try:
            same_size = path is not None and path.stat().st_size in self._sizes
            return same_size and self._digest(file_sha256(path)) in self.entries  # type: ignore[arg-type]  # not None
        except OSError:  # the ingest stage says what is wrong with it
            return False

    def _digest(self, text: str) -> str:
        return hashlib.sha256(f"{self.salt}/{text}".encode()).hexdigest()
