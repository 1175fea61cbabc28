"""What a workspace holds, stage by stage: finished parts, items by status, reasons, failures."""

from collections import Counter
from collections.abc import Iterator, Sequence

from mvideo_core.base.records import Record, Row
from mvideo_core.store.workspace import Marker, Workspace


class StageStatus(Record):
    """One line of `mvideo status`. `parts_done` of `parts` have a current marker; `seconds` adds their wall times."""

    stage: str
    parts_done: int
    parts: int
    counts: dict[str, int]
    reasons: dict[str, int]
    blob_bytes: int
    seconds: float


def stage_status(workspace: Workspace, stage: str, markers: Sequence[Marker] | None = None) -> StageStatus:
    """Counts of a stage's finished parts, from markers alone (no rows are read).

    Args:
        markers: of the parts that count as finished; None = all current ones, whatever they were made from.
    """
    n_parts = workspace.parts_of(stage)
    if markers is None:
        markers = [marker for index in range(n_parts) if (marker := workspace.current(stage, index)) is not None]
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for marker in markers:
        counts.update(marker.counts)
        reasons.update(marker.reasons)
    return StageStatus(
        stage=stage,
        parts_done=len(markers),
        parts=n_parts,
        counts=dict(counts),
        reasons=dict(sorted(reasons.items())),
        blob_bytes=sum(marker.blob_bytes for marker in markers),
        seconds=round(sum(marker.seconds for marker in markers), 3),
    )


def failures(workspace: Workspace, stage: str, row_class: type[Row]) -> Iterator[Row]:
    """Rows with status `failed` in a stage's current parts."""
    return (row for row in workspace.current_rows(stage, row_class) if row.status == "failed")


def reason_lines(reasons: dict[str, int]) -> Sequence[str]:
    """Reasons with their counts, most frequent first."""
    return [f"{name} x{count}" for name, count in sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))]
