"""Where the masks of a video come from: a reference video, a mask file, a dataset sample; edits; the model's grid."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from mvideo_core.editing.clip import MaskClip
from mvideo_core.editing.edits import apply_edits, parse_edits
from mvideo_core.editing.extract import ExtractOptions, extract_masks
from mvideo_core.editing.resample import ResampleOptions, resample
from mvideo_core.editing.sequence import load_masks
from mvideo_core.model.video_format import VideoFormat
from mvideo_core.options import Options


class SourceOptions(Options):
    """At most one of `video`, `masks`, `sample`; none = a video without mask guidance."""

    video: str = Field(default="", description="reference video; `objects` names what is taken from it")
    objects: tuple[str, ...] = Field(default=(), description="names of the objects in the reference video")
    masks: str = Field(default="", description="mask file or folder: .masks, .npz, PNGs, gray mp4")
    fps: float = Field(default=0.0, ge=0, le=240, description="rate of a mask file that does not tell it; 0 = it tells")
    sample: str = Field(default="", description="sample of a finished dataset, DATASET#KEY; its caption is the prompt")
    edits: tuple[Any, ...] = Field(default=(), description='operations in order, e.g. "zoom: {to: 1.4}"')
    extract: ExtractOptions = Field(default=ExtractOptions(), description="detector, segmenter and search in `video`")
    resample: ResampleOptions = Field(default=ResampleOptions(), description="bringing masks to the model's grid")

    @model_validator(mode="after")
    def _one_of(self) -> "SourceOptions":
        given = [name for name in ("video", "masks", "sample") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; give one of video, masks, sample, or none of them")
        if bool(self.video) != bool(self.objects):
            raise ValueError("video and objects belong together: name what is to be taken from the reference video")
        if self.edits and not given:
            raise ValueError("edits need masks: give one of video, masks, sample")
        return self


class Source(NamedTuple):
    """Masks on the model's grid, or None; the text that came with them; where they came from, for the record."""

    masks: MaskClip | None
    caption: str
    origin: dict[str, Any]


def load_source(options: SourceOptions, grid: VideoFormat) -> Source:
    """Extract or read the masks, edit them, bring them to the grid.

    Raises:
        ConfigError: nothing of that name, an unknown operation. MediaError: a file that is no masks, an object that is
            not found. ModelError: weights of detector or segmenter are absent.
    """
    edits = parse_edits(options.edits)
    caption, origin = "", dict[str, Any]()
    if options.video:
        found = extract_masks(options.video, options.objects, options.extract)
        clip: MaskClip | None = found.clip
        origin = {"video": options.video, "sha256": _sha256(options.video), "objects": list(options.objects)}
        origin |= {"found": [one._asdict() for one in found.found], "models": found.models}
    elif options.masks or options.sample:
        clip = load_masks(options.masks or options.sample, options.fps or None)
        origin = {"masks": options.masks} if options.masks else {"sample": options.sample}
        caption = _caption(options.sample)
    else:
        return Source(None, "", {})
    assert clip is not None
    if edits:
        clip = apply_edits(clip, edits)
        origin["edits"] = [edit.plain() for edit in edits]
    return Source(resample(clip, grid, options.resample), caption, origin)


def _caption(sample: str) -> str:
    if not sample:
        return ""
    from mvideo_core.shards.dataset import MaskVideoDataset, read_info
    from mvideo_core.shards.files import DatasetFiles

    root, _, key = sample.rpartition("#")
    for split in read_info(DatasetFiles(root)).splits:
        dataset = MaskVideoDataset(root, split, members=("txt",))
        if key in dataset.keys:
            return dataset.sample(int((dataset.keys == key).argmax())).text
    raise AssertionError(f"{sample}: its masks were read a moment ago")


def _sha256(path: str) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
