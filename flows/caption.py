"""Deployment "caption": one stage on its own, from its upstream's rows on disk."""

from typing import Annotated, Any

from prefect import State, flow

from mvideo.flows._engine import EngineOptions
from mvideo.flows._naming import run_name
from mvideo.flows._notices import concluded
from mvideo.flows._root import in_root
from mvideo.flows._stage import finish_stage, resolve
from mvideo_core.base.forms import ProfileName
from mvideo_core.base.options import Over
from mvideo_core.curation.pipeline import PROFILES, preflight
from mvideo_core.engine.run import StageSummary
from mvideo_core.perception.captioning.rows import CaptionOptions
from mvideo_core.store.workspace import Workspace


@flow(name="caption", flow_run_name=run_name, persist_result=False)
@in_root
def caption(
    workspace: str,
    profile: Annotated[str, ProfileName(PROFILES)] = "mini",
    options: Annotated[dict[str, Any] | None, Over(CaptionOptions)] = None,
    parts: list[int] | None = None,
    engine: EngineOptions = EngineOptions(),
) -> StageSummary | State[StageSummary]:
    """One text per clip. Ends as "CompletedWithWarnings" when the captions as a whole need a look.

    Args:
        workspace: local path or fsspec URL; it needs a plan and this stage's upstream.
        profile: run profile whose options hold where none are given here.
        options: values of this stage; what is empty is as the profile says.
        parts: indices to finish; empty = all.
        engine: threads of this process, or Ray.
    """
    chosen = resolve(profile, caption=options)
    preflight(chosen, Workspace(workspace), ["caption"])
    summary = finish_stage("caption", workspace, chosen, parts, engine)
    return concluded(summary, summary.warnings)
