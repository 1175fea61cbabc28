"""What a flow's run shows on the Artifacts page of the UI.

| Artifact | Contents |
|---|---|
| `<stage>-progress` | parts, items, rate and time left |
| `<stage>-failed` | items with errors |
| `funnel` | how many items each stage kept |
| `overlays` | masks drawn over some clips |
| `report` | paths of report and dataset |
| `warnings` | why a run is `CompletedWithWarnings` |
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.exceptions import PrefectException
from prefect.states import Completed, State

from mvideo.tasks._pictures import data_url
from mvideo_core.engine import STAGES
from mvideo_core.pages.data_report.build import ReportSummary
from mvideo_core.pages.data_report.data import FunnelStep, GalleryItem
from mvideo_core.store.workspace import Marker, Workspace

log = logging.getLogger(__name__)
R = TypeVar("R")

MAX_FAILED_SHOWN = 100
MAX_OVERLAYS = 6


def failure_table(workspace: Workspace, stage: str, markers: Sequence[Marker]) -> None:
    """A table "<stage>-failed" of failed rows with their errors; nothing if none failed."""
    n_failed = sum(marker.counts.get("failed", 0) for marker in markers)
    table: list[dict[str, Any]] = []
    for marker in markers:
        if not marker.counts.get("failed") or len(table) >= MAX_FAILED_SHOWN:
            continue
        rows = workspace.rows(marker, STAGES.get(stage).row)
        table += [
            {
                "item": row.key,
                "error": row.error,
                "message": row.message,
                "attempts": row.attempts,
                "part": marker.index,
            }
            for row in rows
            if row.status == "failed"
        ]
    if table:
        shown = table[:MAX_FAILED_SHOWN]
        note = f"{n_failed} failed items of stage {stage}; {len(shown)} shown. `mvideo retry-failed` retries them."
        publish(create_table_artifact, table=shown, key=f"{stage}-failed", description=note)


def report_page(workspace: Workspace, summary: ReportSummary) -> None:
    """The funnel as a table "funnel", some overlay pictures as "overlays", and all locations as "report"."""
    table = [_funnel_line(step) for step in summary.funnel]
    publish(create_table_artifact, table=table, key="funnel", description="Every item that entered is in one place.")
    if summary.gallery:
        text = "\n\n".join(_overlay(workspace, summary, item) for item in summary.gallery[:MAX_OVERLAYS])
        publish(create_markdown_artifact, markdown=text, key="overlays", description="Masks drawn over some clips.")
    page = f"{workspace.folder.url.rstrip('/')}/{summary.path}"
    dataset = workspace.pointer("dataset") or {}
    lines = [f"Report: `{page}`"]
    if dataset:
        lines += [f"Dataset: `{workspace.folder.url.rstrip('/')}/{dataset['path']}`", f"Digest: `{dataset['digest']}`"]
    publish(create_markdown_artifact, markdown="\n\n".join(lines), key="report", description="What this run wrote.")
    if workspace.folder.is_local:
        publish(create_link_artifact, link=f"file://{page}", link_text="report", key="report-link", description=page)
    log.info("report: %s", page)


def conclude(summary: R, warnings: Sequence[str]) -> R | State[R]:
    """What a flow returns: its summary, or, if there are warnings, a Completed state called "CompletedWithWarnings".

    The reasons are in the state's message, in the log and in an artifact "warnings".
    """
    if not warnings:
        return summary
    for warning in warnings:
        log.warning("%s", warning)
    text = "\n".join(f"- {warning}" for warning in warnings)
    publish(create_markdown_artifact, markdown=text, key="warnings", description="Why the result needs attention.")
    return Completed(data=summary, name="CompletedWithWarnings", message="; ".join(warnings))


def _overlay(workspace: Workspace, summary: ReportSummary, item: GalleryItem) -> str:
    """One picture with its caption. A data URL, since the UI cannot read the workspace."""
    picture = workspace.folder.read(f"{summary.path.rpartition('/')[0]}/{item.poster}")
    names = ", ".join(one.label for one in item.objects)
    return f"**{item.key}**: {names}\n\n![{names}]({data_url(picture)})\n\n{' '.join(item.caption.split())}"


def _funnel_line(step: FunnelStep) -> dict[str, Any]:
    reasons = {**step.filtered, **{f"failed: {name}": n for name, n in step.failed.items()}}
    return {
        "stage": step.stage,
        "entered": step.entered,
        "rows": f"{step.rows} {step.unit}s",
        "kept": step.kept,
        "filtered": sum(step.filtered.values()),
        "failed": sum(step.failed.values()),
        "waiting": step.pending,
        "why": ", ".join(f"{name} x{n}" for name, n in sorted(reasons.items(), key=lambda pair: -pair[1])),
    }


def publish(create: Callable[..., Any], **values: Any) -> None:
    """Create an artifact. Display only: failures to reach the server are ignored."""
    try:
        create(**values)
    except (PrefectException, OSError) as error:
        log.warning("artifact %s not shown: %s", values.get("key"), error)
