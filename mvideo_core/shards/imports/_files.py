"""Files that several formats share: clips, lists, pairs of a clip and its masks."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.base.listing import read_lines, visible_files, visible_folders
from mvideo_core.base.unicode import is_unicode
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.clip import RunWriter
from mvideo_core.media.damage import refuse_damage
from mvideo_core.media.decode import read_frames, read_gray
from mvideo_core.media.encode import write_mp4
from mvideo_core.media.probe import probe
from mvideo_core.shards.imports import UNNAMED, Incoming
from mvideo_core.store.scratch import scratch_folder

JPEG = "pixels: frames are encoded as H.264"
IDS = "object ids: numbered from 0"
CAPTIONS = "captions: the empty text"
LABELS = "class names: all are `object`"
COPIED = ("mov", "h264", "yuv420p")
CONTAINERS = (".mp4", ".webm", ".mkv", ".mov", ".avi")
METADATA = "metadata.jsonl"
HELD_OUT = ("test", "val")
SOURCE_TEXTS, SOURCE_TIMES = ("video_id", "url", "licence"), ("start_s", "end_s")
MAX_FPS = 1000.0
RATE_TOLERANCE = 0.01
"""A list may round the file's frame rate (23.976 as 24)."""


class Pair(NamedTuple):
    """A clip and its masks, with its row of the metadata; {} without metadata."""

    name: str
    split: str
    video: Path
    masks: Path
    row: dict[str, Any]


def split_of(name: str) -> str:
    """The split of a folder or list by its name: test*, val* are held out; all others are for training."""
    return "test" if name.startswith(HELD_OUT) else "train"


def inside(folder: Path, place: Path) -> Path:
    """A path that a list gives, if it is below the folder.

    Raises:
        MediaError: it leads out of the folder, or there is no such file.
    """
    if not place.resolve().is_relative_to(folder.resolve()):
        raise MediaError(f"{place} leads out of {folder}")
    if not place.exists():
        raise MediaError(f"{place} is missing")
    return place


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
        MediaError: not readable as JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MediaError(f"{path}: not readable as JSON ({error})") from None


def text_of(values: Mapping[str, Any], name: str) -> str:
    """A text field; "" if it is missing or null.

    Raises:
        MediaError: another type, or not Unicode (half a surrogate pair).
    """
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not is_unicode(value):
        raise MediaError(f"its `{name}` is {value!r}; expected Unicode text")
    return value


def labels_of(values: Any) -> list[str]:
    """Names of objects.

    Raises:
        MediaError: not a list of texts, or an empty one.
    """
    if not isinstance(values, list) or not values:
        raise MediaError(f"its `labels` are {values!r}; expected a list of names")
    return [text_of({"labels": one}, "labels") or UNNAMED for one in values]


def number_of(values: Mapping[str, Any], name: str, most: float = 1e12) -> float:
    """A field that is a number from 0; 0 if it is missing or null.

    Raises:
        MediaError: another type, negative, not finite or beyond `most`.
    """
    value = values.get(name)
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise MediaError(f"its `{name}` is {value!r}; expected a number from 0 to {most:g}")
    return float(value)


def pairs(root: Path, video_column: str, masks_column: str, masks_of: Callable[[Path, str], Path]) -> Iterator[Pair]:
    """Clips with their masks, from `metadata.jsonl`, or by name if there is none.

    Args:
        root: has `metadata.jsonl`, or `videos/` and `masks/`, or folders that do: one per split.
        masks_of: path of the masks in the folder `masks` for a clip's name, for folders without metadata.

    Raises:
        ConfigError: no such folder, or a damaged list.
    """
    found = False
    for folder in (root, *visible_folders(root)):
        split = split_of(folder.name) if folder != root else "train"
        if (folder / METADATA).is_file():
            found = True
            for row in _rows(folder / METADATA, video_column, masks_column):
                video = folder / str(row[video_column])
                yield Pair(str(row.get("key", video.stem)), split, video, folder / str(row[masks_column]), row)
        elif (folder / "videos").is_dir() and (folder / "masks").is_dir():
            found = True
            for video in visible_files(folder / "videos", *CONTAINERS):
                yield Pair(video.stem, split, video, masks_of(folder / "masks", video.stem), {})
    if not found:
        raise ConfigError(
            f"{root}: neither {METADATA} nor videos/ and masks/, here or in a folder per split; check --from"
        )


def read_pair(pair: Pair, root: Path, labels: Sequence[str], masks: MaskSequence) -> Incoming:
    """The sample of a pair whose masks are read."""
    inside(root, pair.video)
    listed, text = number_of(pair.row, "fps", MAX_FPS), text_of(pair.row, "text")
    source = source_of(pair.row.get("source"))
    mp4, fps = video_clip(pair.video, masks)
    if listed and abs(listed - fps) > RATE_TOLERANCE * fps:
        raise MediaError(f"its `fps` is {listed:g}, but {pair.video} has {fps:g}; correct the list")
    return Incoming(mp4, listed or fps, masks, tuple(labels), text, source)


def source_of(values: Any) -> dict[str, Any]:
    """Where a clip comes from; {} for null.

    Raises:
        MediaError: not a mapping, or fields of other types.
    """
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise MediaError(f"its `source` is {values!r}; expected an object with `video_id`, `url`, ...")
    if values.get("licence") is None:  # our exports' name; others write "license"
        values = values | {"licence": text_of(values, "license")}
    return {name: text_of(values, name) for name in SOURCE_TEXTS} | {
        name: number_of(values, name) for name in SOURCE_TIMES
    }


def pad_objects(masks: MaskSequence, labels: Sequence[str]) -> MaskSequence:
    """The masks with an empty object for every label beyond theirs: one that is hidden in all frames.

    Raises:
        MediaError: fewer labels than objects.
    """
    if masks.n_objects > len(labels):
        raise MediaError(f"object numbers up to {masks.n_objects}, but {len(labels)} objects are listed")
    writer, empty = RunWriter(masks.n_frames, len(labels), masks.height, masks.width), np.zeros(0, np.int32)
    for frame in range(masks.n_frames):
        for obj in range(len(labels)):
            writer.append(masks.mask_edges(frame, obj) if obj < masks.n_objects else empty)
    return writer.finish()


def video_clip(path: Path, masks: MaskSequence, every: int = 1) -> tuple[bytes, float]:
    """Content and rate of a clip's file; it is re-encoded unless it is an H.264 mp4 (4:2:0) with all frames.

    Args:
        every: take every n-th frame only.

    Raises:
        MediaError: rejected by the prober, damaged, or its size or number of frames differs from the masks'.
    """
    info = probe(path)  # in a child process: the file may come from anywhere
    refuse_damage(path, info)
    if info.rotation_deg:
        raise MediaError(f"{path}: rotated by {info.rotation_deg} degrees, so its masks are unclear; encode it upright")
    if every == 1 and (info.container, info.codec, info.pix_fmt) == COPIED:
        _check_size((gray.shape for gray in read_gray(path)), masks)
        return path.read_bytes(), info.fps
    return _encode(islice(read_frames(path), 0, None, every), masks, info.fps / every), info.fps / every


def picture_clip(files: Sequence[Path], masks: MaskSequence, fps: float) -> bytes:
    """Content of an mp4 of pictures.

    Raises:
        MediaError: a picture is damaged, or their number or size differs from the masks'.
    """
    return _encode((_read_rgb(file) for file in files), masks, fps)


def _encode(frames: Iterable[np.ndarray], masks: MaskSequence, fps: float) -> bytes:
    with scratch_folder("import") as folder:
        shapes: list[tuple[int, ...]] = []

        def note_shapes() -> Iterator[np.ndarray]:
            for frame in frames:
                shapes.append(frame.shape)
                yield frame

        write_mp4(note_shapes(), folder / "clip.mp4", fps)
        _check_size(shapes, masks)
        return (folder / "clip.mp4").read_bytes()


def _check_size(shapes: Iterable[tuple[int, ...]], masks: MaskSequence) -> None:
    n_frames = 0
    for shape in shapes:
        n_frames += 1
        if shape[:2] != (masks.height, masks.width):
            raise MediaError(f"frames of {shape[1]}x{shape[0]} px, but masks of {masks.width}x{masks.height} px")
    if n_frames != masks.n_frames:
        raise MediaError(f"{n_frames} frames, but masks for {masks.n_frames}")


def _read_rgb(file: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(file, formats=("JPEG", "PNG")) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(f"{file}: not a readable picture ({error})") from None


def _rows(path: Path, *columns: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(read_lines(path, "import"), 1):
        if not line.strip():
            continue
        try:
            row = dict(json.loads(line))
            for column in columns:
                row[column]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ConfigError(
                f"{path}: line {number} is not a JSON object with {', '.join(columns)} ({error!r})"
            ) from None
        for name in (*columns, *({"key"} & row.keys())):
            if not isinstance(row[name], str) or not row[name] or not is_unicode(row[name]):
                raise ConfigError(f"{path}: line {number}: `{name}` is {row[name]!r}; expected Unicode text")
        yield row
