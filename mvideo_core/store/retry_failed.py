"""Retrying failed items."""

from collections.abc import Iterable

from mvideo_core.base.records import Row
from mvideo_core.store.journal import Journal
from mvideo_core.store.lock import stages_in_use
from mvideo_core.store.workspace import Workspace, head_path, journal_path, marker_path


def retry_failed(workspace: Workspace, stage: str, row_class: type[Row], error: str | None = None) -> int:
    """Make the next run of a stage retry its failed items; everything else in their parts is kept.

    Args:
        error: only rows of this error class; None for all.

    Returns:
        Number of items that will be retried. Their `attempts` count continues from its current value.
    """
    with stages_in_use(workspace.folder, [stage]):
        return sum(_retry_part(workspace, stage, index, row_class, error) for index in range(workspace.parts_of(stage)))


def _retry_part(workspace: Workspace, stage: str, index: int, row_class: type[Row], error: str | None) -> int:
    marker = workspace.current(stage, index)
    if marker is None or not marker.counts.get("failed"):
        return 0
    rows = workspace.rows(marker, row_class)
    again = {row.content_key for row in rows if row.status == "failed" and error in (None, row.error)}
    if again:
        journal = Journal(workspace.folder, journal_path(stage, marker.key))
        journal.discard()
        _journal_rows(journal, rows, again)
        journal.close()
        # The marker goes last: killed before that, the part is still whole; killed after, the journal has everything.
        workspace.folder.remove(head_path(stage, index))
        workspace.folder.remove(marker_path(stage, marker.key))
    return len(again)


def _journal_rows(journal: Journal, rows: Iterable[Row], again: set[str]) -> None:
    """What the part knows, written as if it had been killed just before the items to retry."""
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
