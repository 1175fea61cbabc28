"""Deployment "shard": clips, masks and captions of the workspace -> WebDataset shards, index, data card."""

from typing import Annotated, Any

from prefect import flow

from mvideo.flows._dataset import write_dataset
from mvideo.flows._naming import run_name
from mvideo.flows._root import in_root
from mvideo.flows._stage_options import resolve
from mvideo.flows._steps import EngineOptions
from mvideo_core.base.forms import ProfileName
from mvideo_core.base.options import Over
from mvideo_core.curation.pipeline import PROFILES
from mvideo_core.curation.stages.publish import DatasetSummary
from mvideo_core.shards.options import ShardOptions


@flow(name="shard", flow_run_name=run_name, persist_result=False)
@in_root
def shard(
    workspace: str,
    profile: Annotated[str, ProfileName(PROFILES)] = "mini",
    options: Annotated[dict[str, Any] | None, Over(ShardOptions)] = None,
    engine: EngineOptions = EngineOptions(),
) -> DatasetSummary:
    """Plan the shards, write them, publish the dataset.

    Args:
        workspace: local path or fsspec URL; stages ingest to caption have finished all its parts.
        profile: run profile for options that are not given here.
        options: values of this stage; empty values come from the profile.
        engine: threads of this process, or Ray.
    """
    return write_dataset(workspace, resolve(profile, shard=options), engine)
