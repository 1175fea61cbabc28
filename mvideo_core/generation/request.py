"""A request for one video: load the model, get masks and text, generate."""

import logging

from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.local_paths import local_path
from mvideo_core.base.options import Options
from mvideo_core.cogvideox.adapter_files import adapter_for
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.generation.loading import load_pipeline
from mvideo_core.generation.long_video import Progress
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.sources import SourceOptions, check_guides, on_grid, read_source
from mvideo_core.generation.video import GeneratedVideo, check_prompt, make_video

log = logging.getLogger(__name__)
ALONE = "none"
"""As an adapter name: the base model alone."""


class GenerateRequest(Options):
    """Everything one video is made from."""

    prompt: str = Field(default="", description="what to show; empty = the caption of the dataset sample")
    source: SourceOptions = Field(default=SourceOptions(), description="Masks: video and objects, file, or sample.")
    base: BaseOptions = Field(default=BaseOptions(), description="The CogVideoX.")
    adapter: str = Field(
        default="",
        description="training output folder, or a catalog name; empty = the catalog's adapter for this base "
        "(mvideo-mini for mini), else the base model alone; none = the base model alone",
    )
    allow_other_base: bool = Field(
        default=False, description="use an adapter with base weights that it was not trained on"
    )
    options: GenerateOptions = Field(default=GenerateOptions(), description="Sampling, length, conditions.")


def generate(
    request: GenerateRequest, out: str, overwrite: bool = False, progress: Progress | None = None
) -> GeneratedVideo:
    """Generate the video, or resume where a killed run stopped.

    Args:
        out: folder of this one video.
        overwrite: replace what a different request left there.

    Raises:
        ConfigError: no prompt, masks that do not fit or are empty, or `out` is a URL or holds a different request.
        MediaError, ModelError, StoreError: from loading and generating.
    """
    local_path(out, "out")
    # Check files before loading the model: their errors then take seconds. A video source needs models itself.
    source = None if request.source.video else read_source(request.source)
    prompt = request.prompt or (source.caption if source else "")
    if not prompt:
        raise ConfigError("generate: no prompt; give one (only a dataset sample has a caption)")
    check_prompt(prompt)
    if source and source.masks:
        check_guides(source.masks.sequence, request.options.objects, request.source.masks or request.source.sample)
    loaded = load_pipeline(
        request.base, _adapter(request), request.options, request.allow_other_base, request.source.given
    )
    source = source or read_source(request.source)
    source = on_grid(source, request.source, loaded.pipeline.format, request.options.seconds)
    origin = {"request": request.model_dump(mode="json"), "masks_from": source.origin}
    return make_video(
        loaded, prompt, source.masks, request.options, out, origin=origin, overwrite=overwrite, progress=progress
    )


def _adapter(request: GenerateRequest) -> str:
    if request.adapter == ALONE:
        return ""
    found = request.adapter or adapter_for(request.base.weights)
    if found and not request.adapter:
        log.info("adapter: %s, the default for this base; `none` turns it off", found)
    return found
