"""Tasks before and after encode: plan its parts; publish the latents."""

from mvideo.tasks._decorators import io_task
from mvideo_core.curation.stages.encode import plan_latents
from mvideo_core.curation.stages.publish_latents import LatentsSummary, publish_latents
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents.options import LatentOptions


@io_task
def plan_encode(workspace: str) -> int:
    """Returns: the number of encode parts of the current dataset."""
    return plan_latents(Workspace.open_existing(workspace))


@io_task
def publish_encoded(workspace: str, options: LatentOptions) -> LatentsSummary:
    """Write the index and `latents.json` over all tars of latents."""
    return publish_latents(Workspace(workspace), options)
