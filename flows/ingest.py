"""Deployment "ingest": one stage on its own, from its upstream's rows on disk."""

from typing import Annotated, Any

from prefect import flow

from mvideo.flows._engine import EngineOptions
from mvideo.flows._naming import run_name
from mvideo.flows._root import in_root
from mvideo.flows._stage import finish_stage, resolve
from mvideo_core.base.forms import ProfileName
from mvideo_core.base.options import Over
from mvideo_core.curation.ingest.describe import IngestOptions
from mvideo_core.curation.pipeline import PROFILES
from mvideo_core.engine.run import StageSummary


@flow(name="ingest", flow_run_name=run_name, persist_result=False)
@in_root
def ingest(
    workspace: str,
    profile: Annotated[str, ProfileName(PROFILES)] = "mini",
    options: Annotated[dict[str, Any] | None, Over(IngestOptions)] = None,
    parts: list[int] | None = None,
    engine: EngineOptions = EngineOptions(),
) -> StageSummary:
    """Probe and hash the planned videos.

    Args:
        workspace: local path or fsspec URL; it needs a plan and this stage's upstream.
        profile: run profile whose options hold where none are given here.
        options: values of this stage; what is empty is as the profile says.
        parts: indices to finish; empty = all.
        engine: threads of this process, or Ray.
    """
    return finish_stage("ingest", workspace, resolve(profile, ingest=options), parts, engine)
