"""Deployments of single stages: "ingest", "cut", "clean", "detect", "segment", "caption", and added stages."""

from typing import Annotated, Any

from prefect import Flow, State, flow

from mvideo.flows._naming import run_name
from mvideo.flows._notices import conclude
from mvideo.flows._root import in_root
from mvideo.flows._stage_options import finish_stage, resolve
from mvideo.flows._steps import EngineOptions
from mvideo_core.base.forms import ProfileName
from mvideo_core.base.options import Over
from mvideo_core.curation.pipeline import PROFILES, preflight
from mvideo_core.engine import STAGES
from mvideo_core.engine.run import StageSummary
from mvideo_core.engine.stage import Stage
from mvideo_core.store.workspace import Workspace

DOCUMENTATION = """{title}

Processes its upstream stages' rows on disk. Ends as "CompletedWithWarnings" if its output needs attention.

Args:
    workspace: local path or fsspec URL; it needs a plan and this stage's upstream.
    profile: run profile for options that are not given here.
    options: values of this stage; empty values come from the profile.
    parts: indices to finish; empty = all.
    engine: threads of this process, or Ray.
"""


def flow_of(stage: Stage) -> Flow[..., Any]:
    """The flow of one stage: it processes the requested parts from the rows of its upstream stages on disk."""

    def run(
        workspace: str,
        profile: Annotated[str, ProfileName(PROFILES)] = "mini",
        options: Annotated[dict[str, Any] | None, Over(stage.options)] = None,
        parts: list[int] | None = None,
        engine: EngineOptions = EngineOptions(),
    ) -> StageSummary | State[StageSummary]:
        chosen = resolve(profile, **{stage.name: options})
        preflight(chosen, Workspace(workspace), [stage.name])
        summary = finish_stage(stage.name, workspace, chosen, parts, engine)
        return conclude(summary, summary.warnings)

    run.__name__, run.__doc__ = stage.name, DOCUMENTATION.format(title=stage.title)
    return flow(name=stage.name, flow_run_name=run_name, persist_result=False)(in_root(run))


globals().update({stage.name: flow_of(stage) for stage in STAGES.of_parts()})
