"""What an object store holds right now, listed area by area: few requests instead of several per file.

For commands that look at a whole workspace (status, verify, gc). Local workspaces do not need it.
"""

import threading
from collections.abc import Iterator, Sequence

from mvideo_core.store.files import FileFacts, Folder
from mvideo_core.store.workspace import Workspace, marker_path


def snapshot(workspace: Workspace) -> Workspace:
    """The same workspace for reading: sizes come from listings; heads and their markers are fetched at once."""
    if workspace.folder.is_local:
        return workspace
    folder = SnapshotFolder(workspace.folder)
    found = Workspace.of(folder)
    folder.fetch(["workspace.json", *folder.walk("heads")])
    folder.fetch([marker_path(stage, key) for stage, key in _head_keys(found)])
    return found


def _head_keys(workspace: Workspace) -> Iterator[tuple[str, str]]:
    for stage in workspace.folder.names("heads"):
        if not stage.endswith(".json"):
            for index in workspace.head_indices(stage):
                yield from ((stage, key) for key in workspace.recent_heads(stage, index))
    yield from (("source", key) for key in (workspace.plan() or {}).get("keys", ()))


class SnapshotFolder(Folder):
    """A folder whose areas (first parts of paths) are each listed once, on first use."""

    def __init__(self, folder: Folder):
        super().__init__(folder.url)
        self._areas: dict[str, dict[str, FileFacts]] = {}
        self._contents: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def fetch(self, paths: Sequence[str]) -> None:
        """Read small files that will be needed, all at once."""
        self._contents |= self.read_many([path for path in paths if self._look_up(path) is not None])

    def exists(self, path: str) -> bool:
        """From the listing; folders count."""
        return self._look_up(path) is not None or any(True for _ in self.files(path))

    def size(self, path: str) -> int | None:
        """From the listing."""
        found = self._look_up(path)
        return None if found is None else found.size_bytes

    def read_or_none(self, path: str) -> bytes | None:
        """Prefetched content, or one request; None if the listing does not have the file."""
        if path in self._contents:
            return self._contents[path]
        return None if self._look_up(path) is None else super().read_or_none(path)

    def walk(self, path: str) -> Iterator[str]:
        """From the listing."""
        yield from (facts.path for facts in self.files(path))

    def names(self, path: str) -> list[str]:
        """From the listing."""
        start = len(path) + 1
        return sorted({name[start:].partition("/")[0] for name in self.walk(path)})

    def files(self, path: str) -> list[FileFacts]:
        """From the listing."""
        return [facts for name, facts in self._area(path).items() if name.startswith(f"{path}/")]

    def _look_up(self, path: str) -> FileFacts | None:
        return self._area(path).get(path)

    def _area(self, path: str) -> dict[str, FileFacts]:
        """Facts by path of everything in the area of a path; a top-level file is its own area."""
        area = path.partition("/")[0]
        with self._lock:
            if area not in self._areas:
                if "/" in path or not area.endswith(".json"):
                    self._areas[area] = {facts.path: facts for facts in super().files(area)}
                else:
                    size = super().size(path)
                    self._areas[area] = {} if size is None else {path: FileFacts(path, size, None)}
            return self._areas[area]
