"""Deployment "report": funnel, statistics and overlay gallery of the workspace's current state."""

from prefect import State, flow

from mvideo.flows._dataset import write_report
from mvideo.flows._naming import run_name
from mvideo.flows._notices import conclude
from mvideo.flows._root import in_root
from mvideo_core.pages.data_report.build import ReportSummary


@flow(name="report", flow_run_name=run_name, persist_result=False)
@in_root
def report(workspace: str) -> ReportSummary | State[ReportSummary]:
    """Write the report; its main content is shown on the run's Artifacts tab. With stage warnings it ends with
    warnings.

    Args:
        workspace: local path or fsspec URL.
    """
    summary = write_report(workspace)
    return conclude(summary, summary.warnings)
