"""Deployment "build-mask-dataset": raw videos to mask shards and a report (the paper's section 4.1)."""

from typing import Any

from prefect import State, flow

from flows._dataset import write_dataset, write_report
from flows._engine import EngineOptions, open_lanes
from flows._notices import concluded
from flows._pipelining import Pipeline
from flows._stage import resolve, step
from mvideo_core.captioning.rows import CaptionOptions
from mvideo_core.detection.select import DetectOptions
from mvideo_core.doctor import Asked, require
from mvideo_core.ingest.describe import IngestOptions
from mvideo_core.ingest.sources import SourceOptions
from mvideo_core.pipeline import PART_STAGES, reach_servers
from mvideo_core.scenes.cut import CutOptions
from mvideo_core.segmentation.gate import SegmentOptions
from mvideo_core.shards.options import ShardOptions
from mvideo_core.stages.plan import PlanOptions
from mvideo_core.stages.report import ReportSummary
from mvideo_core.stages.run import RunOptions
from mvideo_core.store.workspace import Workspace
from tasks import plan


@flow(name="build-mask-dataset", persist_result=False)
def build_mask_dataset(
    workspace: str,
    source: SourceOptions,
    profile: str = "mini",
    overrides: dict[str, Any] | None = None,
    plan_options: PlanOptions | None = None,
    run: RunOptions | None = None,
    ingest: IngestOptions | None = None,
    cut: CutOptions | None = None,
    detect: DetectOptions | None = None,
    segment: SegmentOptions | None = None,
    caption: CaptionOptions | None = None,
    shard: ShardOptions | None = None,
    engine: EngineOptions = EngineOptions(),
) -> ReportSummary | State[ReportSummary]:
    """Ingest, cut, detect, segment, caption, shard, report. Killed at any moment, a retry goes on where it stopped.

    Ends as "CompletedWithWarnings" when a stage finished but its output needs a look.

    Args:
        workspace: local path or fsspec URL; made when it is not there.
        source: exactly one of folder, hdvila, manifest.
        profile: run profile: mini, mvideo-2b, mvideo-5b, or the path of a YAML file.
        overrides: single values over the profile, such as {"cut": {"min_shot_s": 4}}.
        plan_options: how sources are grouped into parts; empty = as the profile says.
        run: parts at once, tolerated failures; empty = as the profile says.
        ingest: options of stage 1; empty = as the profile says. Likewise cut, detect, segment, caption, shard.
        engine: where tasks run: threads of this process, workers on the queues, or Ray.
    """
    options = resolve(
        profile, overrides, plan=plan_options, run=run,
        ingest=ingest, cut=cut, detect=detect, segment=segment, caption=caption, shard=shard,
    )  # fmt: skip
    require("data", Asked(workspace=workspace, pipeline=options))
    planned = plan.plan(workspace, source, options.plan)
    reach_servers(options, Workspace(workspace))  # new sources may need a server that was not needed before
    steps = [step(name, options.of(name)) for name in PART_STAGES]
    with open_lanes(engine, options.run.jobs) as lanes:
        Pipeline(lanes, steps, workspace, range(planned.n_parts), options.run.max_failed_frac).run()
    write_dataset(workspace, options, engine)
    summary = write_report(workspace)
    return concluded(summary, summary.warnings)
