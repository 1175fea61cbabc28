"""The files of a workspace:

```
workspace.json                                 layout version
heads/plan.json                                number of parts of the current plan, and the keys of its sources
heads/<stage>/part-00000.json                  key of the latest committed part
heads/<stage>/asked.json                       settings last requested for the stage
review/decisions.jsonl                         decisions of a review
done/<stage>/<key>.json                        marker: outputs, sizes, counts; no marker, no output
rows/<stage>/<key>.parquet                     one row per item, any status
blobs/<stage>/<xx>/<name>                      clips, mask sequences
journal/<stage>/<key>.jsonl                    finished items of an unfinished part
datasets/<key>/                                shards, index, data card; heads/dataset.json names the current one
latents/<key>/                                 tars of latents, index, latents.json
reports/<key>/index.html                       report
forgotten.json                                 salted digests of sources that were removed
locks/                                         who works where: lock files, or leases on an object store
tmp/                                           scratch of running parts
```

Memory does not grow with the dataset. Planning and sharding keep a database under TMPDIR (0.3 kB per clip). Training
keeps its index there, too, and memory-maps it (0.4 kB per window).

`rows/` also contains rows that were made with earlier options. To read only the current rows:

```python
from collections import Counter

from mvideo_core.base.records import ClipRow
from mvideo_core.store.workspace import Workspace

rows = Workspace.open_existing("ws").current_rows("cut", ClipRow)
counts = Counter(row.status for row in rows)                  # or row.reason: why a clip was dropped
```
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar, get_args

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.options import canonical_json
from mvideo_core.base.records import Blob, Record, Row
from mvideo_core.store import tables
from mvideo_core.store.files import Folder

LAYOUT_VERSION = 1
HEADS_KEPT = 3
REMEDY = "delete it, the next run rewrites it"
POINTERS = ("dataset", "latents", "report")
SOURCE_STAGE = "source"
"""The planned sources. Their heads are the plan's `keys`, so that a single write replaces the whole plan."""
R = TypeVar("R", bound=Row)


class Marker(Record):
    """The record of a finished part.

    Attributes:
        digest: of the `ok` rows; goes into the keys of downstream stages.
        settings: digest of stage name, revision, options and externals, the same for all parts of one run.
        counts: rows by status, plus `items` in and `reused` items taken from earlier parts or the journal.
        seconds: wall time of the run that committed; the only timing, kept out of rows.
    """

    stage: str
    key: str
    index: int
    settings: str
    inputs: dict[str, str]
    options: dict[str, Any]
    rows: Blob
    digest: str
    counts: dict[str, int]
    reasons: dict[str, int]
    blob_bytes: int
    seconds: float
    version: str


class Workspace:
    """Reads and writes one workspace. Cheap to create; holds no state but the folder.

    Args:
        url: local path or fsspec URL; created on first write.

    Raises:
        StoreError: the folder has an incompatible layout.
    """

    def __init__(self, url: str):
        self.folder = Folder(url)
        self.url = url
        found = self._json("workspace.json")
        if found is not None and found.get("layout") != LAYOUT_VERSION:
            raise StoreError(
                f"{url}: workspace layout {found.get('layout')!r}, this version reads {LAYOUT_VERSION}; "
                "use the version that wrote it or start a new workspace"
            )

    @classmethod
    def open_existing(cls, url: str) -> Self:
        """Open an existing workspace.

        Raises:
            ConfigError: there is none at that path.
        """
        found = cls(url)
        if not found.folder.exists("workspace.json"):
            raise ConfigError(
                f"{url}: no workspace there (workspace.json is missing); give the --workspace of `mvideo run` or "
                "`mvideo plan`"
            )
        return found

    @classmethod
    def of(cls, folder: Folder) -> Self:
        """The workspace in a folder that is already open and checked."""
        found = cls.__new__(cls)
        found.folder, found.url = folder, folder.url
        return found

    def ensure(self) -> None:
        """Write the layout file if this is a new workspace."""
        if not self.folder.exists("workspace.json"):
            self.folder.write("workspace.json", canonical_json({"layout": LAYOUT_VERSION}).encode())

    # heads: which key is current

    def n_parts(self) -> int | None:
        """Number of parts of the current plan; None before the first plan."""
        plan = self._json("heads/plan.json")
        return None if plan is None else int(plan["n_parts"])

    def parts_of(self, stage: str) -> int:
        """Number of current parts of a stage: its own count if it regroups items, else the plan's; 0 if it has none."""
        own = self._json(f"heads/{stage}/plan.json")
        return int(own["n_parts"]) if own else self.n_parts() or 0

    def has_own_parts(self, stage: str) -> bool:
        """True if a stage has its own number of parts: it was run, or at least planned."""
        return self._json(f"heads/{stage}/plan.json") is not None

    def set_parts_of(self, stage: str, n_parts: int, keys: Sequence[str] = ()) -> None:
        """Give a stage that regroups items its own number of parts.

        Args:
            keys: of committed parts, all of which become current at once; without them each part has its own head.
        """
        own = {"n_parts": n_parts} | ({"keys": list(keys)} if keys else {})
        self.folder.write(f"heads/{stage}/plan.json", json.dumps(own).encode())

    def plan(self) -> dict[str, Any] | None:
        """The current plan's head: n_parts, n_sources, part_size and the keys of the parts of "source"."""
        return self._json("heads/plan.json")

    def set_plan(self, plan: Mapping[str, Any]) -> None:
        """Make a plan the current one."""
        self.folder.write("heads/plan.json", json.dumps(plan, sort_keys=True).encode())

    def head(self, stage: str, index: int) -> str | None:
        """Key of the latest committed part `index` of a stage."""
        recent = self.recent_heads(stage, index)
        return recent[0] if recent else None

    def set_head(self, stage: str, index: int, key: str) -> None:
        """Make a committed part the current one; earlier ones stay listed, so that their rows can be reused."""
        before = [other for other in self.recent_heads(stage, index) if other != key]
        head = {"key": key, "before": before[:HEADS_KEPT]}
        self.folder.write(head_path(stage, index), json.dumps(head).encode())

    def record_request(self, stage: str, settings: str) -> None:
        """Record the last requested settings (see Marker) of a stage: parts with other settings are not finished."""
        if self.last_request(stage) != settings:
            self.folder.write(f"heads/{stage}/asked.json", json.dumps({"settings": settings}).encode())

    def last_request(self, stage: str) -> str | None:
        """The last requested settings of a stage; None in workspaces from before this was recorded."""
        found = self._json(f"heads/{stage}/asked.json")
        return None if found is None else str(found["settings"])

    def recent_heads(self, stage: str, index: int) -> list[str]:
        """Keys that are or recently were the current one of a part, newest first."""
        if keys := self._keys_in_plan(stage):
            return keys[index : index + 1]
        found = self._json(head_path(stage, index))
        return [] if found is None else [found["key"], *found.get("before", [])]

    def head_indices(self, stage: str) -> list[int]:
        """Parts of a stage that have heads, including those beyond the current plan."""
        if stage == SOURCE_STAGE:
            return list(range(self.n_parts() or 0))
        if keys := self._keys_in_plan(stage):
            return list(range(len(keys)))
        names = self.folder.names(f"heads/{stage}")
        return [int(name[5:-5]) for name in names if re.fullmatch(r"part-\d+\.json", name)]

    def pointer(self, name: str, remedy: str = REMEDY) -> dict[str, Any] | None:
        """Where the current one of `POINTERS` is: a mapping with `path` relative to the workspace."""
        return self._json(f"heads/{name}.json", remedy)

    def set_pointer(self, name: str, path: str, **more: Any) -> None:
        """Make a finished dataset, latents or report the current one."""
        self.folder.write(f"heads/{name}.json", json.dumps({"path": path, **more}, sort_keys=True).encode())

    # markers and rows

    def marker(self, stage: str, key: str) -> Marker | None:
        """The marker of a part; None if the part is not finished. An unreadable marker counts as none."""
        content = self.folder.read_or_none(marker_path(stage, key))
        if content is None:
            return None
        try:
            return Marker.model_validate_json(content)
        except ValueError:
            return None

    def current(self, stage: str, index: int) -> Marker | None:
        """The marker that a head points to."""
        key = self.head(stage, index)
        return None if key is None else self.marker(stage, key)

    def markers(self, stage: str) -> Iterator[Marker]:
        """All markers of a stage, current or not, in key order."""
        for path in self.folder.walk(f"done/{stage}"):
            marker = self.marker(stage, path.rsplit("/", 1)[1].removesuffix(".json"))
            if marker is not None:
                yield marker

    def rows(self, marker: Marker, row_class: type[R]) -> list[R]:
        """Rows of a finished part, sorted by key."""
        return tables.from_parquet(self.folder.read(marker.rows.path), row_class, f"{self.url}: {marker.rows.path}")

    def current_rows(self, stage: str, row_class: type[R]) -> Iterator[R]:
        """Rows of a stage over all current parts, one part in memory at a time."""
        for index in range(self.parts_of(stage)):
            marker = self.current(stage, index)
            if marker is not None:
                yield from self.rows(marker, row_class)

    def holds(self, blob: Blob) -> bool:
        """True if the blob exists at its recorded size."""
        return self.folder.size(blob.path) == blob.size_bytes

    def is_complete(self, marker: Marker | None, row_class: type[Row]) -> bool:
        """True if all files of a marker exist at their recorded sizes."""
        if marker is None or not self.holds(marker.rows):
            return False
        if marker.blob_bytes == 0:
            return True
        return all(self.holds(blob) for row in self.rows(marker, row_class) for blob in blobs_of(row))

    def _keys_in_plan(self, stage: str) -> list[str]:
        """Keys of a stage whose parts became current all at once; [] if each part has a head."""
        plan = self.plan() if stage == SOURCE_STAGE else self._json(f"heads/{stage}/plan.json")
        return list((plan or {}).get("keys", ()))

    def _json(self, path: str, remedy: str = REMEDY) -> dict[str, Any] | None:
        content = self.folder.read_or_none(path)
        if content is None:
            return None
        try:
            value = json.loads(content)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise StoreError(f"{self.url}: {path} is damaged; {remedy}")
        return value


def blobs_of(row: Row) -> list[Blob]:
    """The files a row points to."""
    values = (getattr(row, name) for name in _blob_fields(type(row)))
    return [value for value in values if value is not None]


@functools.lru_cache(maxsize=64)
def _blob_fields(row_class: type[Row]) -> tuple[str, ...]:
    """Names of the fields declared as a Blob or None; most rows have no such field, and there are many rows."""
    fields = row_class.model_fields.items()
    return tuple(name for name, field in fields if field.annotation is Blob or Blob in get_args(field.annotation))


def marker_path(stage: str, key: str) -> str:
    """Path of a part's marker."""
    return f"done/{stage}/{key}.json"


def rows_path(stage: str, key: str) -> str:
    """Path of a part's rows."""
    return f"rows/{stage}/{key}.parquet"


def journal_path(stage: str, key: str) -> str:
    """Path of a part's journal."""
    return f"journal/{stage}/{key}.jsonl"


def head_path(stage: str, index: int) -> str:
    """Path of a part's head."""
    return f"heads/{stage}/part-{index:05d}.json"
