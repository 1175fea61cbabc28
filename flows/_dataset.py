"""The last two steps of the data pipeline, over all parts together: shards with their dataset, and the report."""

import logging

from mvideo.flows._engine import Scheduler, open_engine, step
from mvideo.flows._notices import report_page
from mvideo.flows._steps import EngineOptions
from mvideo.tasks.report import report
from mvideo.tasks.shard import plan_shards, publish
from mvideo_core.curation.pipeline import PipelineOptions
from mvideo_core.curation.stages.publish import DatasetSummary
from mvideo_core.pages.data_report.build import ReportSummary
from mvideo_core.store.workspace import Workspace

log = logging.getLogger(__name__)


def write_dataset(workspace: str, options: PipelineOptions, engine: EngineOptions) -> DatasetSummary:
    """Plan the shards, write them, publish the dataset.

    Raises:
        StoreError: no clip has a video, masks and a caption.
    """
    # One writer per shard and a few seconds each: the flow's own threads serve every engine but Ray.
    local = engine if engine.kind == "ray" else EngineOptions(cpu_slots=engine.cpu_slots)
    n_shards = plan_shards(workspace, options.shard)
    if n_shards:
        with open_engine(local, options.run.jobs) as running:
            Scheduler(running, [step("shard", options.shard)], workspace, range(n_shards), 0.0).run()
    return publish(workspace, options.shard)


def write_report(workspace: str) -> ReportSummary:
    """Build the report and show its main content on the run's Artifacts tab."""
    summary = report(workspace)
    report_page(Workspace(workspace), summary)
    return summary
