"""Encoding a dataset's latents: plan the parts, run them, publish."""

from mvideo.flows._engine import Scheduler, open_engine, step
from mvideo.flows._steps import EngineOptions
from mvideo.tasks.encode import plan_encode, publish_encoded
from mvideo_core.curation.stages.publish_latents import current_latents
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents.options import LatentOptions


def write_latents(workspace: str, options: LatentOptions, engine: EngineOptions, jobs: int = 1) -> str:
    """Cache the latents of the workspace's current dataset; existing ones are kept.

    Returns:
        Folder or URL for `data.latents` of a training run.

    Raises:
        ConfigError: there is no dataset yet, or engine "workers" (a stage run cannot request more stage runs).
        ModelError: the base model's weights are missing.
    """
    n_parts = plan_encode(workspace)
    with open_engine(engine, jobs) as running:
        Scheduler(running, [step("encode", options)], workspace, range(n_parts), 0.0).run()
    publish_encoded(workspace, options)
    return current_latents(Workspace(workspace))
