"""Deployment "encode": the dataset's clips, masks and captions -> cached latents for training."""

from prefect import flow

from mvideo.flows._latents import write_latents
from mvideo.flows._naming import run_name
from mvideo.flows._root import in_root
from mvideo.flows._steps import EngineOptions
from mvideo_core.doctor import CheckContext, require
from mvideo_core.training.latents.options import LatentOptions


@flow(name="encode", flow_run_name=run_name, persist_result=False)
@in_root
def encode(workspace: str, options: LatentOptions = LatentOptions(), engine: EngineOptions = EngineOptions()) -> str:
    """Compute VAE latents and text embeddings of the current dataset, in shards with the same names and keys.

    Args:
        workspace: local path or fsspec URL; must hold a dataset.
        options: base model, format, windows per clip.
        engine: threads of this process, or Ray.

    Returns:
        Where the latents are.
    """
    require("encode", CheckContext(workspace=workspace, latents=options))
    return write_latents(workspace, options, engine)
