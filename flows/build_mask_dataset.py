"""Deployment "build-mask-dataset": raw videos to mask shards and a report (the paper's section 4.1)."""

import logging
from typing import Annotated, Any

from prefect import State, flow

from mvideo.flows._dataset import write_dataset, write_report
from mvideo.flows._engine import EngineOptions, open_lanes
from mvideo.flows._notices import concluded
from mvideo.flows._pipelining import Pipeline
from mvideo.flows._stage import resolve, step
from mvideo.tasks import plan
from mvideo_core.captioning.rows import CaptionOptions
from mvideo_core.detection.select import DetectOptions
from mvideo_core.doctor import Asked, require
from mvideo_core.ingest.describe import IngestOptions
from mvideo_core.ingest.sources import SourceOptions
from mvideo_core.options import Over
from mvideo_core.pipeline import PART_STAGES, models_in_use, reach_servers
from mvideo_core.scenes.cut import CutOptions
from mvideo_core.segmentation.gate import SegmentOptions
from mvideo_core.shards.options import ShardOptions
from mvideo_core.stages.plan import PlanOptions
from mvideo_core.stages.report import ReportSummary
from mvideo_core.stages.run import RunOptions
from mvideo_core.store.workspace import Workspace

log = logging.getLogger("mvideo.flows.build_mask_dataset")  # Prefect loads this file under a name of its own


@flow(name="build-mask-dataset", persist_result=False)
def build_mask_dataset(
    workspace: str,
    source: SourceOptions,
    profile: str = "mini",
    overrides: dict[str, Any] | None = None,
    plan_options: Annotated[dict[str, Any], Over(PlanOptions)] | None = None,
    run: Annotated[dict[str, Any], Over(RunOptions)] | None = None,
    ingest: Annotated[dict[str, Any], Over(IngestOptions)] | None = None,
    cut: Annotated[dict[str, Any], Over(CutOptions)] | None = None,
    detect: Annotated[dict[str, Any], Over(DetectOptions)] | None = None,
    segment: Annotated[dict[str, Any], Over(SegmentOptions)] | None = None,
    caption: Annotated[dict[str, Any], Over(CaptionOptions)] | None = None,
    shard: Annotated[dict[str, Any], Over(ShardOptions)] | None = None,
    engine: EngineOptions = EngineOptions(),
) -> ReportSummary | State[ReportSummary]:
    """Ingest, cut, detect, segment, caption, shard, report. Killed at any moment, a retry goes on where it stopped.

    Ends as "CompletedWithWarnings" when a stage finished but its output needs a look.

    Args:
        workspace: local path or fsspec URL; made when it is not there.
        source: exactly one of folder, hdvila, manifest.
        profile: run profile: mini, mvideo-2b, mvideo-5b, or the path of a YAML file.
        overrides: single values over the profile, such as {"cut": {"min_shot_s": 4}}.
        plan_options: how sources are grouped into parts; what is empty is as the profile says. Likewise the next ones.
        run: parts at once, tolerated failures.
        ingest: values of stage 1 over the profile's.
        cut: of stage 2, scene cuts to clips.
        detect: of stage 3, boxes on the first frame.
        segment: of stage 4, mask sequences.
        caption: of stage 5, a text per clip.
        shard: of stage 6, the dataset.
        engine: where tasks run: threads of this process, workers on the queues, or Ray.
    """
    options = resolve(
        profile, overrides, plan=plan_options, run=run,
        ingest=ingest, cut=cut, detect=detect, segment=segment, caption=caption, shard=shard,
    )  # fmt: skip
    require("data", Asked(workspace=workspace, pipeline=options))
    planned = plan.plan(workspace, source, options.plan)
    reach_servers(options, Workspace(workspace))  # new sources may need a server that was not needed before
    log.info("plan: %d sources in %d parts; %s", planned.n_sources, planned.n_parts, models_in_use(options))
    steps = [step(name, options.of(name)) for name in PART_STAGES]
    with open_lanes(engine, options.run.jobs) as lanes:
        Pipeline(lanes, steps, workspace, range(planned.n_parts), options.run.max_failed_frac).run()
    write_dataset(workspace, options, engine)
    summary = write_report(workspace)
    return concluded(summary, summary.warnings)
