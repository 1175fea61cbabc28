"""What a flow leaves on its Artifacts page: failed items, the funnel, where dataset and report lie."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.exceptions import PrefectException

from mvideo_core.stages import STAGES
from mvideo_core.store.workspace import Marker, Workspace

log = logging.getLogger(__name__)

MAX_FAILED_SHOWN = 100


def failed_items(workspace: Workspace, stage: str, markers: Sequence[Marker]) -> None:
    """A table "<stage>-failed" of failed rows with their errors; nothing when none failed."""
    n_failed = sum(marker.counts.get("failed", 0) for marker in markers)
    table: list[dict[str, Any]] = []
    for marker in markers:
        if not marker.counts.get("failed") or len(table) >= MAX_FAILED_SHOWN:
            continue
        rows = workspace.rows(marker, STAGES.get(stage).row)
        table += [
            {"item": row.key, "error": row.error, "message": row.message, "attempts": row.attempts, "part": marker.index}
            for row in rows
            if row.status == "failed"
        ]
    if table:
        shown = table[:MAX_FAILED_SHOWN]
        note = f"{n_failed} failed items of stage {stage}; {len(shown)} shown. `mvideo retry-failed` tries them again."
        shows(create_table_artifact, table=shown, key=f"{stage}-failed", description=note)


def markdown(key: str, text: str, description: str) -> None:
    """A page of text on the run's Artifacts tab."""
    shows(create_markdown_artifact, markdown=text, key=key, description=description)


def shows(create: Callable[..., Any], **values: Any) -> None:
    """Make an artifact. It is for the eye alone: a server that is away does not fail the run."""
    try:
        create(**values)
    except (PrefectException, OSError) as error:
        log.warning("artifact %s not shown: %s", values.get("key"), error)
