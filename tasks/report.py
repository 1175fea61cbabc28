"""The task of stage report: funnel, statistics and overlay gallery over all rows."""

from mvideo.tasks._decorators import io_task
from mvideo_core.pages.data_report.build import ReportSummary, build_report
from mvideo_core.store.workspace import Workspace


@io_task
def report(workspace: str) -> ReportSummary:
    """Write the report of the workspace's current state."""
    return build_report(Workspace.open_existing(workspace))
