"""Tasks of encode: latents and text embeddings of the dataset's shards, and publishing them."""

from mvideo.tasks._decorators import gpu_task, io_task
from mvideo.tasks._parts import Parts, PartsDone, finish_parts
from mvideo_core.curation.stages.encode import plan_latents
from mvideo_core.curation.stages.publish_latents import LatentsSummary, publish_latents
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents.options import LatentOptions


@io_task
def plan_encode(workspace: str) -> int:
    """Returns: the number of encode parts of the current dataset."""
    return plan_latents(Workspace(workspace))


@gpu_task
def encode(parts: Parts, options: LatentOptions) -> PartsDone:
    """Encode some shards; a part holds one shard, or a few of a very large dataset."""
    return finish_parts("encode", parts, options)


@io_task
def publish_encoded(workspace: str, options: LatentOptions) -> LatentsSummary:
    """Index and `latents.json` over all tars of latents."""
    return publish_latents(Workspace(workspace), options)
