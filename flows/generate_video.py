"""Deployment "generate-video": a prompt and masks to a long video (the paper's sections 3.2 and 3.3)."""

from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from mvideo.flows._naming import run_name
from mvideo.flows._notices import publish
from mvideo.flows._root import in_root
from mvideo.tasks.generate import generate
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.curation.stages.publish import first_sample
from mvideo_core.doctor import CheckContext, require
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.request import GenerateRequest
from mvideo_core.generation.sources import SourceOptions
from mvideo_core.generation.video import GeneratedVideo
from mvideo_core.store.workspace import Workspace


@flow(name="generate-video", flow_run_name=run_name, persist_result=False)
@in_root
def generate_video(
    out: str,
    prompt: str = "",
    source: SourceOptions = SourceOptions(),
    base: BaseOptions = BaseOptions(dtype="fp32"),
    adapter: str = "",
    allow_other_base: bool = False,
    options: GenerateOptions = GenerateOptions(),
    overwrite: bool = False,
    workspace: str = "",
) -> GeneratedVideo:
    """Generate one video. If killed at any moment, a retry continues at the first missing clip.

    Args:
        out: folder of this video: mp4, conditions, provenance.
        prompt: what to show; empty = the caption of the dataset sample.
        source: where the masks come from: a reference video and object names, a mask file, or a dataset sample; none =
            no masks.
        base: the CogVideoX, and its precision.
        adapter: train-mvideo output folder, or a catalog name; empty = mvideo-mini for mini, otherwise the base alone;
            none = the base alone.
        allow_other_base: use the adapter with base weights that it was not trained on.
        options: length, sampling, which conditions are used.
        overwrite: replace a video of a different request in `out`.
        workspace: without prompt and source, the first sample of this workspace's dataset provides both.
    """
    if workspace and not prompt and source == SourceOptions():
        source = SourceOptions(sample=first_sample(Workspace.open_existing(workspace)))
    request = GenerateRequest(
        prompt=prompt, source=source, base=base, adapter=adapter, allow_other_base=allow_other_base, options=options
    )
    require("generate", CheckContext(base=base))
    made = generate(request, out, overwrite)
    page = f"{made.frames} frames in {made.clips} clips\n\nVideo: `{Path(made.video).absolute()}`"
    publish(create_markdown_artifact, markdown=page, key="generated-video", description="What this run made.")
    return made
