"""Trying failed items again, and deleting what no current part needs."""

from collections.abc import Iterable, Mapping

from mvideo_core.records import Record, Row
from mvideo_core.store.journal import Journal
from mvideo_core.store.workspace import Workspace, blobs_of, journal_path, marker_path


class Freed(Record):
    """What `gc` deleted (or would delete)."""

    files: int
    size_bytes: int


def retry_failed(workspace: Workspace, stage: str, row_class: type[Row], error: str | None = None) -> int:
    """Make the next run of a stage try its failed items again; everything else of their parts is kept.

    Args:
        error: only rows of this error class; None for all.

    Returns:
        Number of items that will be tried again. Their `attempts` count goes on from where it is.
    """
    n_items = 0
    for index in range(workspace.parts_of(stage)):
        marker = workspace.current(stage, index)
        if marker is None or not marker.counts.get("failed"):
            continue
        rows = workspace.rows(marker, row_class)
        again = {row.content_key for row in rows if row.status == "failed" and error in (None, row.error)}
        if not again:
            continue
        n_items += len(again)
        journal = Journal(workspace.folder, journal_path(stage, marker.key))
        journal.discard()
        _journal_rows(journal, rows, again)
        journal.close()
        # The marker goes last: killed before, the part is still whole; killed after, the journal has everything.
        workspace.folder.remove(f"heads/{stage}/part-{index:05d}.json")
        workspace.folder.remove(marker_path(stage, marker.key))
    return n_items


def collect_garbage(workspace: Workspace, stages: Mapping[str, type[Row]], dry_run: bool) -> Freed:
    """Delete rows, markers, blobs, datasets and latents that no current part points to, and scratch of dead runs.

    Args:
        stages: row class by stage name, for every stage that writes into the workspace.
        dry_run: only count.
    """
    keep = set(_kept_files(workspace, stages))
    kept_folders = tuple(
        f"{pointer['path'].rstrip('/')}/"
        for name in ("dataset", "latents", "report")
        if (pointer := workspace.pointer(name)) is not None
    )
    files = size_bytes = 0
    for area in ("rows", "done", "blobs", "journal", "datasets", "latents", "reports", "tmp"):
        for path in workspace.folder.walk(area):
            if path in keep or path.startswith(kept_folders):
                continue
            files += 1
            size_bytes += workspace.folder.size(path) or 0
            if not dry_run:
                workspace.folder.remove(path)
    return Freed(files=files, size_bytes=size_bytes)


def _kept_files(workspace: Workspace, stages: Mapping[str, type[Row]]) -> Iterable[str]:
    for stage, row_class in stages.items():
        for index in range(workspace.parts_of(stage)):
            marker = workspace.current(stage, index)
            if marker is None:
                continue
            yield marker_path(stage, marker.key)
            yield marker.rows.path
            for row in workspace.rows(marker, row_class) if marker.blob_bytes else ():
                yield from (blob.path for blob in blobs_of(row))


def _journal_rows(journal: Journal, rows: Iterable[Row], again: set[str]) -> None:
    """What the part knows, written as if it had been killed just before the items to try again."""
    by_item: dict[str, list[Row]] = {}
    for row in rows:
        by_item.setdefault(row.content_key, []).append(row)
    for item, item_rows in by_item.items():
        if item in again:
            attempts = max(row.attempts for row in item_rows)
            journal.append({"event": "retry", "item": item, "attempts": attempts})
        else:
            values = [row.model_dump(mode="json", exclude_defaults=True) for row in item_rows]
            journal.append({"event": "done", "item": item, "rows": values})
