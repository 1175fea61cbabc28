"""Deployment "caption": one stage on its own, from its upstream's rows on disk."""

from prefect import flow

from flows._engine import EngineOptions
from flows._stage import finish_stage, resolve
from mvideo_core.captioning.rows import CaptionOptions
from mvideo_core.stages.run import StageSummary


@flow(name="caption", persist_result=False)
def caption(
    workspace: str,
    profile: str = "mini",
    options: CaptionOptions | None = None,
    parts: list[int] | None = None,
    engine: EngineOptions = EngineOptions(),
) -> StageSummary:
    """One text per clip.

    Args:
        workspace: local path or fsspec URL; it needs a plan and this stage's upstream.
        profile: run profile whose options hold where none are given here.
        options: of this stage; empty = as the profile says.
        parts: indices to finish; empty = all.
        engine: threads of this process, or Ray.
    """
    return finish_stage("caption", workspace, resolve(profile, caption=options), parts, engine)
