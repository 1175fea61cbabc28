"""A source of masks is one line of text, on the command line and in YAML.

| Text | Masks |
|---|---|
| `horse.masks`, `.npz`, `.npy`, mask video, folder of images | that file or folder |
| `DATASET#KEY` | a sample of a finished dataset, with its caption |
| `run.mp4#horse` or `run.mp4#horse,person` | extracted from a reference video: object names after the `#` |
"""

from pathlib import Path
from typing import Any, NamedTuple

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import exists, is_file
from mvideo_core.editing.extract import ExtractOptions, Models, extract_masks
from mvideo_core.editing.mask_files import clip_of, load_masks, read_masks
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.masks.io.mask_form import MaskForm


class MaskInput(NamedTuple):
    """Masks and their origin.

    Attributes:
        caption: caption of a dataset sample; "" otherwise.
        origin: for provenance: kind, path, SHA-256, models, objects found.
        video: reference video on disk, for previews; None if there is none.
    """

    clip: MaskClip
    caption: str
    origin: dict[str, Any]
    video: Path | None


def open_input(
    text: str, fps: float | None = None, extract: ExtractOptions | None = None, models: Models | None = None,
    form: MaskForm = MaskForm(),
) -> MaskInput:  # fmt: skip
    """The masks that a line of text refers to.

    Args:
        fps: frame rate of mask files that do not store one.
        form: how to read ambiguous files.
        extract, models: for reference videos; models are loaded if not passed.

    Raises:
        ConfigError: no such path, or a part is missing. MediaError, ModelError, StoreError: from the readers.
    """
    left, mark, right = text.rpartition("#")
    if not mark or exists(text):
        return _file(Path(text), fps, form)
    if names_video(text):
        if any(form):
            raise ConfigError(f"{text}: --as is for mask files; these masks are extracted from a video")
        return _video(Path(left), right, extract or ExtractOptions(), models)
    return _sample(left, right, fps, form)


def names_video(text: str) -> bool:
    """Whether the text is VIDEO#NAME: masks that have yet to be extracted."""
    left, mark, _ = text.rpartition("#")
    return bool(mark) and not exists(text) and is_file(left)


def _file(path: Path, fps: float | None, form: MaskForm) -> MaskInput:
    clip = load_masks(path, fps, form)
    origin: dict[str, Any] = {"kind": "masks", "path": str(path)} | ({"as": str(form)} if any(form) else {})
    if is_file(path):
        origin["sha256"] = file_sha256(path)
    return MaskInput(clip, "", origin, None)


def _video(path: Path, names: str, options: ExtractOptions, models: Models | None) -> MaskInput:
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise ConfigError(f"{path}#: expected object names after the '#', such as {path}#horse")
    done = extract_masks(path, wanted, options, models)
    origin = {
        "kind": "reference video", "path": str(path), "sha256": file_sha256(path), "objects": wanted,
        "found": [one._asdict() for one in done.found], "models": done.models,
        "options": options.model_dump(mode="json"),
    }  # fmt: skip
    return MaskInput(done.clip, "", origin, path)


def _sample(root: str, key: str, fps: float | None, form: MaskForm) -> MaskInput:
    name = f"{root}#{key}"
    found = read_masks(name, form)
    origin = {"kind": "dataset sample", "path": root, "key": key}
    return MaskInput(clip_of(found, name, fps), found.caption, origin, None)
