"""One video from a prompt and masks: load the model, make it, leave mp4, conditions and provenance in a folder."""

import importlib.metadata
import json
import logging
import platform
import time
from typing import Any

from pydantic import Field

from mvideo_core import __version__
from mvideo_core.editing.clip import MaskClip
from mvideo_core.editing.sequence import save_masks
from mvideo_core.errors import ConfigError
from mvideo_core.generation.loading import Loaded, load_pipeline
from mvideo_core.generation.long_video import Progress, generate_long
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.output import OutputFolder
from mvideo_core.generation.sources import Source, SourceOptions, load_source
from mvideo_core.model.base import BaseOptions
from mvideo_core.options import Options, digest

log = logging.getLogger(__name__)

LIBRARIES = ("torch", "diffusers", "transformers", "peft", "numpy", "av")


class GenerateRequest(Options):
    """Everything one video is made of."""

    prompt: str = Field(default="", description="what is to be seen; empty = the caption of the dataset sample")
    source: SourceOptions = Field(default=SourceOptions(), description="Masks: video and objects, file, or sample.")
    base: BaseOptions = Field(default=BaseOptions(), description="The CogVideoX.")
    adapter: str = Field(default="", description="folder that training wrote; empty = the base model alone")
    options: GenerateOptions = Field(default=GenerateOptions(), description="Sampling, length, conditions.")


class GeneratedVideo(Options):
    """What came out; also the last lines of provenance.json."""

    video: str = Field(description="path of the mp4")
    frames: int = Field(description="frames in it")
    clips: int = Field(description="clips generated one after another")
    seconds: float = Field(description="seconds this run took; finished clips of an earlier one cost nothing")


def generate(
    request: GenerateRequest, out: str, overwrite: bool = False, progress: Progress | None = None
) -> GeneratedVideo:
    """Make the video, or go on where a killed run stopped.

    Args:
        out: folder of this one video.
        overwrite: replace what another request left there.

    Raises:
        ConfigError: no prompt, masks that do not fit, or a folder of another request.
        MediaError, ModelError, StoreError: as the parts say.
    """
    started = time.monotonic()
    loaded = load_pipeline(request.base, request.adapter, request.options.scheduler)
    source = load_source(request.source, loaded.pipeline.format)
    prompt = request.prompt or source.caption
    if not prompt:
        raise ConfigError("generate: no prompt; give one (only a dataset sample brings its own caption)")
    facts = _facts(request, prompt, source, loaded)
    output = OutputFolder(out, digest(facts["decides"]), overwrite)
    if source.masks is not None:
        _keep_masks(output, source.masks)
    masks = source.masks.sequence if source.masks is not None else None
    video = generate_long(loaded.pipeline, prompt, masks, request.options, output, progress)
    clips = output.done["clips"]
    result = GeneratedVideo(
        video=str(video),
        frames=sum(clip["frames"] for clip in clips),
        clips=len(clips),
        seconds=round(time.monotonic() - started, 3),
    )
    record = {**facts, "clips": clips, "result": result.model_dump(mode="json")}
    output.keep("provenance.json", (json.dumps(record, indent=1) + "\n").encode())
    return result


def _facts(request: GenerateRequest, prompt: str, source: Source, loaded: Loaded) -> dict[str, Any]:
    """What decides the video (its digest names the folder's request), and where it came from."""
    decides = {
        "prompt": prompt,
        "options": request.options.model_dump(mode="json"),
        "dtype": request.base.dtype,
        "base_sha256": loaded.base_sha256,
        "adapter_sha256": loaded.adapter_sha256,
        "masks": digest(source.masks.sequence.to_bytes().hex()) if source.masks is not None else "",
        "format": loaded.pipeline.format.model_dump(mode="json"),
    }
    return {
        "decides": decides,
        "request": request.model_dump(mode="json"),
        "masks_from": source.origin,
        "software": {"mvideo": __version__, "python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in LIBRARIES},
        "device": str(loaded.pipeline.device),
    }


def _keep_masks(output: OutputFolder, masks: MaskClip) -> None:
    folder = output.folder / "conditions"
    save_masks(folder / "masks.masks", masks.sequence, masks.fps, masks.labels)
