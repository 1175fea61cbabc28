"""The two ends of the data half that look at all parts at once: shards with their dataset, and the report."""

import logging

from flows._engine import EngineOptions, open_lanes
from flows._notices import report_page
from flows._pipelining import Pipeline
from flows._stage import step
from mvideo_core.pipeline import PipelineOptions
from mvideo_core.stages.report import ReportSummary
from mvideo_core.stages.run import StageSummary
from tasks.report import report
from tasks.shard import plan_shards, publish

log = logging.getLogger(__name__)


def write_dataset(workspace: str, options: PipelineOptions, engine: EngineOptions) -> str:
    """Plan the shards, write them, publish the dataset.

    Returns:
        Path of the dataset within the workspace.
    """
    # One writer a shard and seconds each: the flow's own threads serve every engine but Ray.
    local = engine if engine.kind == "ray" else EngineOptions(cpu_slots=engine.cpu_slots)
    n_shards = plan_shards(workspace, options.shard)
    if n_shards:
        with open_lanes(local, options.run.jobs) as lanes:
            Pipeline(lanes, [step("shard", options.shard)], workspace, list(range(n_shards)), 0.0).run()
    return publish(workspace, options.shard)


def write_report(workspace: str, stages: list[StageSummary]) -> ReportSummary:
    """Build the report and show its core on the run's Artifacts tab."""
    summary = report(workspace)
    report_page(workspace, summary, stages)
    return summary
