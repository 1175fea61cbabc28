"""One video from a loaded pipeline: MP4, conditions and provenance in its own folder, generated once."""

import importlib.metadata
import json
import platform
import time
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from mvideo_core import __version__
from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.locks import sole_owner
from mvideo_core.base.options import Options, digest
from mvideo_core.base.unicode import is_unicode
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.generation.loading import Loaded
from mvideo_core.generation.long_video import Progress, generate_long, length_frames, plan_clips
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.output import OutputFolder
from mvideo_core.generation.sources import check_guides
from mvideo_core.masks.io.clip import MaskClip, take_frames

LIBRARIES = ("torch", "diffusers", "transformers", "peft", "numpy", "av")


class GeneratedVideo(Options):
    """The result; also the last lines of provenance.json."""

    video: str = Field(description="path of the mp4")
    frames: int = Field(description="number of frames")
    clips: int = Field(description="clips generated one after another")
    seconds: float = Field(description="seconds this run took, without the finished clips of an earlier one")
    fresh: bool = Field(default=True, description="false: it already existed, made from the same request")


def make_video(
    loaded: Loaded,
    prompt: str,
    masks: MaskClip | None,
    options: GenerateOptions,
    folder: str | PathLike[str],
    *,
    origin: Mapping[str, Any] | None = None,
    overwrite: bool = True,
    progress: Progress | None = None,
) -> GeneratedVideo:
    """Generate the video, or what a killed run left missing; a finished one stays as it is. One process per folder.

    Args:
        masks: at the model's size and rate; None = no mask guidance.
        origin: extra facts for provenance.json that do not decide the video, such as where the masks come from.
        overwrite: replace what different weights, masks or options left in the folder.

    Raises:
        ConfigError: masks that do not fit or are empty, or (without `overwrite`) a folder with a different video.
        StoreError: the folder cannot be read or written, or another live process generates there.
    """
    started = time.monotonic()
    check_prompt(prompt)
    check_prompt(options.negative_prompt, "negative_prompt")
    used = None if masks is None else masks_of_video(masks, options, loaded.pipeline.format)
    decides = _decides(loaded, prompt, masks, options)
    with sole_owner(Path(folder), "generation", "folder"):
        output = OutputFolder(folder, digest(decides), overwrite)
        fresh = not (output.video.is_file() and (output.folder / "provenance.json").is_file())
        if fresh and used is not None:
            save_masks(output.folder / "conditions" / "masks.masks", used.sequence, used.fps, used.labels)
        sequence = masks.sequence if masks is not None else None
        video = generate_long(loaded.pipeline, prompt, sequence, options, output, progress)
        clips = output.done["clips"]
        result = GeneratedVideo(
            video=str(video),
            frames=sum(clip["frames"] for clip in clips),
            clips=len(clips),
            seconds=round(time.monotonic() - started, 3),
            fresh=fresh,
        )
        if fresh:
            made = {"clips": clips, "result": result.model_dump(mode="json", exclude={"fresh"})}
            record = {"decides": decides, **(origin or {}), **_machine(loaded), **made}
            write_whole(output.folder / "provenance.json", json.dumps(record, indent=1) + "\n")
        return result


def check_prompt(prompt: str, name: str = "prompt") -> None:
    """Raise ConfigError if a text holds half of a surrogate pair, which no tokenizer takes."""
    if not is_unicode(prompt):
        seen = prompt if len(prompt) <= 80 else f"{prompt[:80]}..."
        raise ConfigError(f"{name}: {seen!r} is not Unicode (half of a surrogate pair); write it in UTF-8")


def masks_of_video(masks: MaskClip, options: GenerateOptions, grid: VideoFormat) -> MaskClip:
    """The masks that guide the video: the chosen objects for each frame, repeating the last mask where `mask_end`
    holds.

    With `mask_end` "none" they end with the last guided clip.

    Raises:
        ConfigError: masks that do not fit, an object they do not have, or nothing in any of these frames.
    """
    n_frames = length_frames(options, masks.sequence, grid)
    if options.mask_end == "none":
        guided = [plan for plan in plan_clips(n_frames, grid, options.seed) if plan.start < masks.sequence.n_frames]
        n_frames = min(n_frames, guided[-1].start + grid.clip_frames)
    frames = np.minimum(np.arange(n_frames), masks.sequence.n_frames - 1)
    taken = take_frames(masks.sequence, frames)
    check_guides(taken, options.objects, "the resampled masks")
    chosen = options.objects or range(taken.n_objects)
    labels = tuple(masks.labels[obj] for obj in chosen) if masks.labels else ()
    return MaskClip(taken.select(chosen), masks.fps, labels)


def _decides(loaded: Loaded, prompt: str, masks: MaskClip | None, options: GenerateOptions) -> dict[str, Any]:
    """Everything that decides the pixels; its digest identifies the folder's video."""
    # Options added in later versions are left out at their defaults, so that existing videos still match.
    later = options.at_default("spacing", "dynamic_guidance", "execution", "handover", "match_statistics")
    later |= {"cache"} if options.cache.kind == "none" else set()
    return {
        "prompt": prompt,
        "options": options.model_dump(mode="json", exclude=later),
        "dtype": loaded.dtype,
        "base_sha256": loaded.base_sha256,
        "adapter_sha256": loaded.adapter_sha256,
        "masks": digest(masks.sequence.to_bytes().hex()) if masks is not None else "",
        "format": loaded.pipeline.format.model_dump(mode="json"),
    }


def _machine(loaded: Loaded) -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {
        "software": {"mvideo": __version__, "python": platform.python_version(), **versions},
        "device": str(loaded.pipeline.device),
    }
