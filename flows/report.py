"""Deployment "report": funnel, statistics and overlay gallery of what the workspace holds now."""

from prefect import flow

from flows._dataset import write_report
from mvideo_core.stages.report import ReportSummary


@flow(name="report", persist_result=False)
def report(workspace: str) -> ReportSummary:
    """Write the report; its core is shown on the run's Artifacts tab.

    Args:
        workspace: local path or fsspec URL.
    """
    return write_report(workspace)
