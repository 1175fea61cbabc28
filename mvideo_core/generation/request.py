"""A request for one video: load the model, find its masks and its text, make it."""

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
from mvideo_core.generation.video import GeneratedVideo, make_video

log = logging.getLogger(__name__)
ALONE = "none"
"""As an adapter: the base model alone."""


class GenerateRequest(Options):
    """Everything one video is made of."""

    prompt: str = Field(default="", description="what is to be seen; empty = the caption of the dataset sample")
    source: SourceOptions = Field(default=SourceOptions(), description="Masks: video and objects, file, or sample.")
    base: BaseOptions = Field(default=BaseOptions(), description="The CogVideoX.")
    adapter: str = Field(
        default="",
        description="folder that training wrote, or a name of the catalog; empty = the catalog's adapter of this base "
        "(mvideo-mini over mini), else the base model alone; none = the base model alone",
    )
    allow_other_base: bool = Field(
        default=False, description="use an adapter over other base weights than those it was trained on"
    )
    options: GenerateOptions = Field(default=GenerateOptions(), description="Sampling, length, conditions.")


def generate(
    request: GenerateRequest, out: str, overwrite: bool = False, progress: Progress | None = None
) -> GeneratedVideo:
    """Make the video, or go on where a killed run stopped.

    Args:
        out: folder of this one video.
        overwrite: replace what another request left there.

    Raises:
        ConfigError: no prompt, masks that do not fit or are empty, or `out` is of another request or a URL.
        MediaError, ModelError, StoreError: as the parts say.
    """
    local_path(out, "out")
    # What is wrong with files is said in seconds, before the model is loaded; a video needs models of its own.
    source = None if request.source.video else read_source(request.source)
    prompt = request.prompt or (source.caption if source else "")
    if not prompt:
        raise ConfigError("generate: no prompt; give one (only a dataset sample brings its own caption)")
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
        log.info("adapter: %s, the base's own; `none` is the base alone", found)
    return found
