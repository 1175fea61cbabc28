"""Parquet files in memory, read in the calling thread.

Pre-buffering, pyarrow's default, reads in Arrow's own threads. One of them may free the Python buffer while the
interpreter exits, and a successful command then dies of SIGABRT (exit code 134; 3 to 14 of 40 runs).
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported only where a file is read: `mvideo status` reads just markers
    import pyarrow as pa
    import pyarrow.parquet as pq


def open_parquet(content: bytes) -> "pq.ParquetFile":
    """A file to read piece by piece; pass `use_threads=False` to its methods. Raises pyarrow.ArrowInvalid."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(io.BytesIO(content), pre_buffer=False)


def read_table(content: bytes, columns: Sequence[str] | None = None) -> "pa.Table":
    """Columns of a file; all of them by default.

    Raises:
        pyarrow.ArrowInvalid: not Parquet, or a missing column.
    """
    import pyarrow as pa

    file = open_parquet(content)
    if columns is not None and (lacking := sorted(set(columns) - set(file.schema_arrow.names))):
        raise pa.ArrowInvalid(f"no column {', '.join(lacking)}; it has {', '.join(file.schema_arrow.names)}")
    return file.read(columns=columns, use_threads=False)
