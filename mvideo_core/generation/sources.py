"""Where a video's masks come from: a reference video, a mask file or a dataset sample; then edits and resampling."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.forms import one_of
from mvideo_core.base.options import Options
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.editing.edits import apply_edits, parse_edits
from mvideo_core.editing.extract import ExtractOptions
from mvideo_core.editing.inputs import open_input
from mvideo_core.editing.presence import find_visible
from mvideo_core.editing.resample import ResampleOptions, frames_for, nearest_frames, resample, resample_frames
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.clip import MaskClip, take_frames
from mvideo_core.masks.io.mask_form import HELP, MaskForm


def frames_of(seconds: float, grid: VideoFormat) -> int:
    """Number of frames of that many seconds, from the first to the last: 12 s at 8 fps are 97."""
    return round(seconds * grid.fps) + 1


class SourceOptions(Options):
    """At most one of `video`, `masks`, `sample`; none = a video without mask guidance."""

    video: str = Field(default="", description="reference video; `objects` names what to extract from it")
    objects: tuple[str, ...] = Field(default=(), description="names of the objects in the reference video")
    masks: str = Field(default="", description="mask file or folder: .masks, .npz, .npy, pictures, a mask video")
    masks_as: str = Field(default="", description=f"how to read ambiguous masks; {HELP}")
    fps: float = Field(
        default=0.0, ge=0, le=240, description="frame rate of a mask file that does not store one; 0 = it does"
    )
    sample: str = Field(default="", description="sample of a finished dataset, DATASET#KEY; its caption is the prompt")
    edits: tuple[Any, ...] = Field(default=(), description='operations in order, e.g. "zoom: {to: 1.4}"')
    extract: ExtractOptions = Field(default=ExtractOptions(), description="detector, segmenter and search in `video`")
    resample: ResampleOptions = Field(default=ResampleOptions(), description="resampling the masks for the model")

    @property
    def given(self) -> bool:
        """Whether there are any masks."""
        return bool(self.video or self.masks or self.sample)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Adds the rule of a single source, so that a server rejects two of them at submission."""
        found = super().__get_pydantic_json_schema__(core, handler)
        handler.resolve_ref_schema(found).update(one_of("video", "masks", "sample", required=False))
        return found

    @model_validator(mode="after")
    def _one_of(self) -> "SourceOptions":
        given = [name for name in ("video", "masks", "sample") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"got {' and '.join(given)}; give at most one of video, masks, sample")
        if bool(self.video) != bool(self.objects):
            raise ValueError("video and objects go together: name the objects to extract from the reference video")
        if self.edits and not given:
            raise ValueError("edits need masks: give one of video, masks, sample")
        if self.masks_as and not (self.masks or self.sample):
            raise ValueError("masks_as says how to read masks, but there are none; give masks or sample")
        return self


class Source(NamedTuple):
    """Masks at the model's size and rate, or None; the text that came with them; their origin, for the record."""

    masks: MaskClip | None
    caption: str
    origin: dict[str, Any]


def read_source(options: SourceOptions) -> Source:
    """The masks at their own size and rate, edited.

    Raises:
        ConfigError: nothing of that name, an unknown operation, or empty masks. MediaError: a file that is not masks,
            or an object that is not found. ModelError: weights of detector or segmenter are missing.
    """
    edits = parse_edits(options.edits)
    text = f"{options.video}#{','.join(options.objects)}" if options.video else options.masks or options.sample
    if not text:
        return Source(None, "", {})
    found = open_input(text, options.fps or None, options.extract, form=MaskForm.parse(options.masks_as))
    clip, origin = found.clip, found.origin
    if edits:
        clip = apply_edits(clip, edits)
        origin = origin | {"edits": [edit.plain() for edit in edits]}
    check_guides(clip.sequence, (), text)
    return Source(clip, found.caption, origin)


def on_grid(source: Source, options: SourceOptions, grid: VideoFormat, seconds: float | None = None) -> Source:
    """The source with its masks at the model's size and rate.

    Args:
        seconds: requested length: that many frames, or all that the masks have if they end earlier. None = as many
            whole clips as the masks fill.

    Raises:
        ConfigError: no object is left in any frame.
    """
    if source.masks is None:
        return source
    if seconds is not None and not options.resample.n_clips:
        n_needed = frames_for(source.masks, grid.fps, frames_of(seconds, grid), options.resample.max_hold_s)
        last = int(nearest_frames(np.array([(n_needed - 1) / grid.fps]), source.masks.fps)[0])
        used = take_frames(source.masks.sequence, range(min(last + 1, source.masks.sequence.n_frames)))
        check_guides(used, (), f"the first {seconds:g} s of the masks")
        return source._replace(masks=resample_frames(source.masks, grid, n_needed, options.resample))
    return source._replace(masks=resample(source.masks, grid, options.resample))


def check_guides(masks: MaskSequence, objects: Sequence[int], name: str) -> None:
    """Check that these objects (all if empty) have at least one pixel to guide with.

    Raises:
        ConfigError: an object that does not exist, or no pixel in any frame.
    """
    chosen = list(objects) or list(range(masks.n_objects))
    if unknown := [obj for obj in chosen if not 0 <= obj < masks.n_objects]:
        raise ConfigError(f"objects {unknown} are not in the masks, which have objects 0 to {masks.n_objects - 1}")
    if not find_visible(masks)[:, chosen].any():
        which = f"objects {chosen}" if objects else f"{masks.n_objects} objects"
        raise ConfigError(
            f"{name}: empty masks: {which} in 0 of {masks.n_frames} frames, so nothing would guide the video; "
            "use other masks (`mvideo masks info` shows their contents), or none"
        )
