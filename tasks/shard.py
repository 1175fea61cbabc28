"""Tasks of stage 6, shard: plan the shards over all parts, write each one, publish the dataset."""

from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace
from tasks._decorators import io_task
from tasks._parts import Parts, PartsDone, finish_parts


@io_task
def plan_shards(workspace: str, options: ShardOptions) -> int:
    """Which sample goes into which shard. Returns: the number of shards."""
    from mvideo_core.stages.shard import plan_dataset

    return plan_dataset(Workspace(workspace), options)


@io_task
def shard(parts: Parts, options: ShardOptions) -> PartsDone:
    """Write some shards; here a part is one shard."""
    return finish_parts("shard", parts, options)


@io_task
def publish(workspace: str, options: ShardOptions) -> str:
    """Index, data card and `dataset.json` over all shards. Returns: path of the dataset within the workspace."""
    from mvideo_core.stages.shard import publish_dataset

    return publish_dataset(Workspace(workspace), options).path
