"""Deployment "plan": list the sources and group them into parts, nothing else."""

from typing import Annotated, Any

from prefect import flow

from mvideo.flows._naming import run_name
from mvideo.flows._root import in_root
from mvideo.flows._stage_options import resolve
from mvideo.tasks import plan as task
from mvideo_core.base.forms import ProfileName
from mvideo_core.base.options import Over
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import PROFILES
from mvideo_core.engine.plan import Plan, PlanOptions


@flow(name="plan", flow_run_name=run_name, persist_result=False)
@in_root
def plan(
    workspace: str,
    source: SourceOptions,
    profile: Annotated[str, ProfileName(PROFILES)] = "mini",
    options: Annotated[dict[str, Any] | None, Over(PlanOptions)] = None,
) -> Plan:
    """List a folder, an HD-VILA list or a manifest and make its videos the workspace's current plan.

    Args:
        workspace: local path or fsspec URL; created if it does not exist.
        source: exactly one of folder, hdvila, manifest.
        profile: run profile for options that are not given here.
        options: planning values; empty values come from the profile.
    """
    return task.plan(workspace, source, resolve(profile, plan=options).plan)
