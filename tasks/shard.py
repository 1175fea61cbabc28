"""Tasks before and after stage shard: plan the shards over all parts; publish the dataset."""

from mvideo.tasks._decorators import io_task
from mvideo_core.curation.stages.publish import DatasetSummary, publish_dataset
from mvideo_core.curation.stages.samples import plan_dataset
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace


@io_task
def plan_shards(workspace: str, options: ShardOptions) -> int:
    """Decide which sample goes into which shard. Returns: the number of shard parts."""
    return plan_dataset(Workspace.open_existing(workspace), options)


@io_task
def publish(workspace: str, options: ShardOptions) -> DatasetSummary:
    """Write the index, data card and `dataset.json` over all shards."""
    return publish_dataset(Workspace(workspace), options)
