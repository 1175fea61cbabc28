"""Deployment "build-mask-dataset": raw videos to mask shards and a report (the paper's section 4.1)."""

import logging
from typing import Annotated, Any

from prefect import State, flow

from mvideo.flows._dataset import write_dataset, write_report
from mvideo.flows._engine import Scheduler, open_engine, step
from mvideo.flows._naming import run_name
from mvideo.flows._notices import conclude
from mvideo.flows._root import in_root
from mvideo.flows._stage_options import resolve, with_stage_parameters
from mvideo.flows._steps import EngineOptions
from mvideo.tasks import plan
from mvideo_core.base.forms import ProfileName, Values
from mvideo_core.base.options import Over
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import PROFILES, PipelineOptions, models_in_use, reach_servers, stages_to_run
from mvideo_core.doctor import CheckContext, require
from mvideo_core.engine.plan import PlanOptions
from mvideo_core.engine.run import RunOptions
from mvideo_core.pages.data_report.build import ReportSummary
from mvideo_core.store.workspace import Workspace

log = logging.getLogger(__name__)


@flow(name="build-mask-dataset", flow_run_name=run_name, persist_result=False)
@in_root
@with_stage_parameters
def build_mask_dataset(
    workspace: str,
    source: SourceOptions,
    profile: Annotated[str, ProfileName(PROFILES)] = "mini",
    overrides: Annotated[dict[str, Any] | None, Values(PipelineOptions)] = None,
    plan_options: Annotated[dict[str, Any] | None, Over(PlanOptions)] = None,
    run: Annotated[dict[str, Any] | None, Over(RunOptions)] = None,
    *,
    engine: EngineOptions = EngineOptions(),
    **stages: dict[str, Any] | None,
) -> ReportSummary | State[ReportSummary]:
    """Ingest, cut, clean (if it has filters), detect, segment, caption, shard, report.

    If killed at any moment, a retry resumes where it stopped. Ends as "CompletedWithWarnings"
    when a stage finished but its output needs attention.

    Args:
        workspace: local path or fsspec URL; created if it does not exist.
        source: exactly one of folder, hdvila, manifest.
        profile: run profile: mini, mvideo-2b, mvideo-5b, or the path of a YAML file.
        overrides: values that override the profile, such as {"cut": {"min_shot_s": 4}}.
        plan_options: how sources are grouped into parts; empty values come from the profile.
        run: parts at a time, tolerated failures; empty values come from the profile.
        engine: where tasks run: threads of this process, workers on the queues, or Ray.
    """
    options = resolve(profile, overrides, plan=plan_options, run=run, **stages)
    require("data", CheckContext(workspace=workspace, pipeline=options))
    planned = plan.plan(workspace, source, options.plan)
    names = stages_to_run(Workspace(workspace), options)
    reach_servers(options, Workspace(workspace))  # new sources may need a server that was not needed before
    log.info("plan: %d sources in %d parts; %s", planned.n_sources, planned.n_parts, models_in_use(options))
    steps = [step(name, options.of(name)) for name in names]
    with open_engine(engine, options.run.jobs) as running:
        Scheduler(running, steps, workspace, range(planned.n_parts), options.run.max_failed_frac).run()
    write_dataset(workspace, options, engine)
    summary = write_report(workspace)
    return conclude(summary, summary.warnings)
