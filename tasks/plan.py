"""The task before all stages: list the sources and group them into parts."""

from mvideo.tasks._decorators import io_task
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.engine.plan import Plan, PlanOptions
from mvideo_core.store.workspace import Workspace


@io_task
def plan(workspace: str, source: SourceOptions, options: PlanOptions) -> Plan:
    """Make the listed videos the workspace's current plan. If a folder grew, finished work is kept."""
    return plan_sources(Workspace(workspace), source, options)
