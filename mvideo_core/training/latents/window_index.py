"""The index of one split's windows, mapped from a temporary file: memory does not grow with the number of windows."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, overload

from mvideo_core.base.disk import disk_errors
from mvideo_core.base.errors import StoreError
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.training.latents.info import INDEX_NAME, INFO_NAME

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

History = Literal["any", "with", "without"]
CHUNK_BYTES = 4 << 20
BATCH_ROWS = 1 << 16
"""Windows per piece of the temporary file; a piece is in memory while it is written."""
NAMES_AT_ONCE = 4096


class WindowIndex:
    """Columns of the chosen windows, in dataset order; see `info.index_schema`.

    TMPDIR holds about 350 bytes per window while this object exists, and the index itself while it is opened; the files
    have no name, so a killed process leaves none behind.

    Args:
        sha256: of the index, as recorded.

    Raises:
        StoreError: the index differs from the recorded one, or TMPDIR is full.
    """

    def __init__(self, files: DatasetFiles, sha256: str, split: str, history: History):
        self._made_of = (files, sha256, split, history)
        place = tempfile.gettempdir()
        with disk_errors("index of the latents", f"{place} (temporary files)"), tempfile.TemporaryFile() as local:
            if _copy_index(files, local) != sha256:
                raise StoreError(f"{files.root}/{INDEX_NAME}: not the one recorded in {INFO_NAME}; run encode again")
            self._table = _map_windows(local, split, history)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles as arguments: another process maps its own file."""
        return type(self), self._made_of

    def value(self, column: str, row: int) -> Any:
        """One field of one window."""
        return self._table.column(column)[row].as_py()

    def names(self, column: str) -> "Names":
        """A column of text."""
        return Names(self._table.column(column))


class Names(Sequence[str]):
    """A column of text as a sequence; only accessed items become Python strings."""

    def __init__(self, column: "pa.ChunkedArray"):
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        return str(self._column[at].as_py())

    def __iter__(self) -> Iterator[str]:
        for chunk in self._column.iterchunks():
            for start in range(0, len(chunk), NAMES_AT_ONCE):
                yield from chunk.slice(start, NAMES_AT_ONCE).to_pylist()


def _copy_index(files: DatasetFiles, local: IO[bytes]) -> str:
    """Copy the index and return its SHA-256. A remote one is read once."""
    seen = hashlib.sha256()
    with files.open(INDEX_NAME) as source:
        while content := source.read(CHUNK_BYTES):
            seen.update(content)
            local.write(content)
    local.seek(0)
    return seen.hexdigest()


def _map_windows(index: IO[bytes], split: str, history: History) -> "pa.Table":
    """The windows of a split, written to an unnamed Arrow file and mapped."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # pre-buffering would read in Arrow's own threads, see mvideo_core/base/parquet.py
    file = pq.ParquetFile(index, pre_buffer=False)
    descriptor, path = tempfile.mkstemp(prefix="mvideo-index-")
    try:
        with os.fdopen(descriptor, "wb") as out, pa.ipc.new_file(out, file.schema_arrow) as writer:
            for table in _pieces(file, split, history):
                writer.write_table(table.combine_chunks())
        return pa.ipc.open_file(pa.memory_map(path)).read_all()
    finally:
        Path(path).unlink()


def _pieces(file: "pq.ParquetFile", split: str, history: History) -> Iterator["pa.Table"]:
    """The chosen rows, about BATCH_ROWS at a time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    held: list[pa.Table] = []
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, use_threads=False).filter(pc.field("split") == split)
        if history != "any":
            table = table.filter(pc.field("history") == (history == "with"))
        held.append(table)
        if sum(one.num_rows for one in held) >= BATCH_ROWS:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)
