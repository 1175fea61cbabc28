"""Commits one part: rows first, then the marker, then the head. A kill at any point leaves nothing false visible.

On object stores a part may have a second owner for a while (`store/lease.py`): the marker that is created first counts.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from mvideo_core import __version__
from mvideo_core.base.options import Options
from mvideo_core.base.records import Blob, Row
from mvideo_core.store import tables
from mvideo_core.store.keys import rows_digest
from mvideo_core.store.workspace import Marker, Workspace, blobs_of, marker_path, rows_path


def commit_part(
    workspace: Workspace,
    *,
    stage: str,
    index: int,
    key: str,
    settings: str,
    inputs: Mapping[str, str],
    options: Options,
    rows: Sequence[Row],
    row_class: type[Row],
    n_items: int,
    n_reused: int,
    seconds: float,
    digest: str = "",
    head: bool = True,
) -> Marker:
    """Write the rows, the marker and the head of a finished part.

    Args:
        index: number of the part within the plan.
        inputs: digest of each upstream part, by stage name.
        n_items, n_reused: number of input items, and of those taken from a journal or an earlier part.
        seconds: wall time of this run.
        digest: `rows_digest` of the rows, if the caller has it already.
        head: make the part the current one; otherwise the caller does, for many parts at once.

    Returns:
        The marker as written, or the one of another owner who committed this part first.
    """
    content = tables.to_parquet(rows, row_class)
    sha256 = hashlib.sha256(content).hexdigest()
    path = workspace.folder.publish(content, rows_path(stage, key), sha256)
    marker = Marker(
        stage=stage,
        key=key,
        index=index,
        settings=settings,
        inputs=dict(inputs),
        options=options.model_dump(mode="json"),
        rows=Blob(path=path, sha256=sha256, size_bytes=len(content)),
        digest=digest or rows_digest(rows),
        counts=_counts(rows, n_items, n_reused),
        reasons=dict(sorted(Counter(_reason(row) for row in rows if row.status != "ok").items())),
        blob_bytes=sum(blob.size_bytes for row in rows for blob in blobs_of(row)),
        seconds=round(seconds, 3),
        version=__version__,
    )
    marker = _write_marker(workspace, marker, row_class)
    if head:
        workspace.set_head(stage, index, key)
    return marker


def _write_marker(workspace: Workspace, marker: Marker, row_class: type[Row]) -> Marker:
    path, content = marker_path(marker.stage, marker.key), marker.model_dump_json(indent=1).encode()
    if workspace.folder.is_local:
        workspace.folder.write(path, content)
        return marker
    while not workspace.folder.create(path, content):
        first = workspace.marker(marker.stage, marker.key)
        if first is not None and workspace.is_complete(first, row_class):
            return first
        workspace.folder.remove(path)  # of an earlier run whose files are gone
    return marker


def _counts(rows: Sequence[Row], n_items: int, n_reused: int) -> dict[str, int]:
    by_status = Counter(row.status for row in rows)
    return {
        "items": n_items,
        "reused": n_reused,
        "ok": by_status["ok"],
        "filtered": by_status["filtered"],
        "failed": by_status["failed"],
    }


def _reason(row: Row) -> str:
    return f"{row.status}:{row.reason or row.error or 'unknown'}"
