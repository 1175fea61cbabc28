"""`build-mask-dataset`: options, profiles, and a runner that needs no server."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from mvideo_core.base.options import Options
from mvideo_core.base.records import Row
from mvideo_core.base.shipped import shipped_path
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.engine import STAGES
from mvideo_core.engine.chain import (
    chain,
    in_use,
    part_stages,
    row_class,
    switch_off,
    valid_markers,
    workspace_stages,
)
from mvideo_core.engine.loaded_models import model_in_use
from mvideo_core.engine.part import stage_settings
from mvideo_core.engine.plan import PlanOptions
from mvideo_core.engine.run import RunOptions, StageSummary, run_stage
from mvideo_core.engine.stage import Stage
from mvideo_core.store.workspace import Workspace

if TYPE_CHECKING:
    from mvideo_core.pages.data_report.build import ReportSummary

log = logging.getLogger(__name__)

PART_STAGES = part_stages()
"""Stages that run part by part, in order; shard and report then run over all parts."""

PROFILES = shipped_path("deployments/profiles")


def _with_stages(record: type[Options]) -> type[Options]:
    """Add one field per stage to the record, named after the stage, holding its options."""
    fields: dict[str, Any] = {}
    for name in (*PART_STAGES, "shard"):
        stage = STAGES.get(name)
        fields[name] = (stage.options, Field(default=stage.options(), description=stage.title))
    return create_model(record.__name__, __base__=record, __doc__=record.__doc__, __module__=__name__, **fields)


@_with_stages
class PipelineOptions(Options):
    """All options of data curation; a profile is a YAML file with these fields."""

    plan: PlanOptions = Field(default=PlanOptions(), description="How sources are grouped into parts.")
    run: RunOptions = Field(default=RunOptions(), description="Concurrent parts, tolerated failures.")

    if TYPE_CHECKING:

        def __getattr__(self, stage: str) -> Any: ...

    def of(self, stage: str) -> Options:
        """Options of one stage."""
        found: Options = getattr(self, stage)
        return found


def stage_rows() -> dict[str, type[Row]]:
    """Row class of everything data curation commits, in stage order."""
    return {name: row_class(name) for name in chain()}


def workspace_rows(workspace: Workspace) -> dict[str, type[Row]]:
    """Row class of everything in a workspace: `stage_rows`, plus "encode" once its dataset has been encoded."""
    return {name: row_class(name) for name in workspace_stages(workspace)}


def load_profile(name: str, overrides: dict[str, Any] | None = None) -> PipelineOptions:
    """Options of a run profile with overrides applied; see `Options.of_profile`."""
    return PipelineOptions.of_profile(PROFILES, name, overrides)


def stages_to_run(workspace: Workspace, options: PipelineOptions) -> list[str]:
    """Stages of parts that these options run, in order; the workspace records which optional ones it leaves out."""
    found = []
    for name in PART_STAGES:
        stage, own = STAGES.get(name), options.of(name)
        if stage.enabled is not None and not stage.enabled(own):
            switch_off(workspace, name)
            continue
        if stage.enabled is not None:
            workspace.record_request(name, stage_settings(stage, own))
        found.append(name)
    return found


def preflight(
    options: PipelineOptions, workspace: Workspace | None = None, stages: Sequence[str] = (*PART_STAGES, "shard")
) -> None:
    """Find what would stop a run hours later: missing weights, lists, packages or keys, or a server that is down.

    Args:
        workspace: a stage that has finished all its parts here with these options needs no server; None = all stages
            need theirs.
        stages: check only these.

    Raises:
        ModelError: weights are missing, or a server does not answer; the message says which one and what to do.
        ConfigError: a list, a key or a plugin's options are wrong.
    """
    for name in stages:
        STAGES.get(name).externals(options.of(name))
        STAGES.get(name).check(options.of(name))
    reach_servers(options, workspace, stages)


def reach_servers(
    options: PipelineOptions, workspace: Workspace | None = None, stages: Sequence[str] = (*PART_STAGES, "shard")
) -> None:
    """The part of `preflight` that depends on the plan: servers that the remaining work needs.

    Raises:
        ModelError: a server does not answer.
    """
    for name in stages:
        if workspace is None or not _is_finished(workspace, STAGES.get(name), options.of(name)):
            STAGES.get(name).reach(options.of(name))


def models_in_use(options: PipelineOptions) -> str:
    """Detector, segmenter and captioner with their weights, as one line to log at the start of a run."""
    from mvideo_core.perception.captioning.base import CAPTIONERS
    from mvideo_core.perception.detection import DETECTORS
    from mvideo_core.perception.segmentation import SEGMENTERS

    detect, segment, caption = options.detect, options.segment, options.caption
    return "; ".join(
        f"{stage}: {model_in_use(registry, name, own)}"
        for stage, registry, name, own in (
            ("detect", DETECTORS, detect.detector, detect.detector_options),
            ("segment", SEGMENTERS, segment.segmenter, segment.segmenter_options),
            ("caption", CAPTIONERS, caption.captioner, caption.captioner_options),
        )
    )


def _is_finished(workspace: Workspace, stage: Stage, options: Options) -> bool:
    """Whether a stage (with these options) and all stages before it have finished every part of the current plan."""
    settings = stage_settings(stage, options)
    names = PART_STAGES[: PART_STAGES.index(stage.name) + 1] if stage.name in PART_STAGES else (stage.name,)
    found = [marker for name in in_use(workspace, names) for _, marker in valid_markers(workspace, name)]
    return bool(found) and all(
        marker is not None and (marker.stage != stage.name or marker.settings == settings) for marker in found
    )


def run_pipeline(
    workspace: Workspace,
    source: SourceOptions,
    options: PipelineOptions,
    on_stage: Callable[[StageSummary], None] | None = None,
    checked: bool = False,
) -> "ReportSummary":
    """Run all of data curation on this machine, without a server. Rerun to resume.

    Args:
        on_stage: called with the summary of each finished stage.
        checked: `preflight` has just been run with these options.

    Returns:
        The report, with the warnings of all stages.

    Raises:
        ConfigError, ModelError, StoreError: as the stages document.
    """
    from mvideo_core.curation.stages.shard import shard_dataset
    from mvideo_core.curation.stages.sources import plan_sources
    from mvideo_core.pages.data_report.build import build_report

    report = on_stage or (lambda _summary: None)
    if not checked:
        preflight(options, workspace)
    plan = plan_sources(workspace, source, options.plan)
    names = stages_to_run(workspace, options)
    reach_servers(options, workspace)  # new sources may need a server that earlier ones did not
    log.info("plan: %d sources in %d parts; %s", plan.n_sources, plan.n_parts, models_in_use(options))
    for name in names:
        report(run_stage(workspace, STAGES.get(name), options.of(name), options.run))
    report(shard_dataset(workspace, options.shard, options.run))
    return build_report(workspace)
