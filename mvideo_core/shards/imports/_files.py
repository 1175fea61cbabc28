"""Files that several formats share: clips, lists, pairs of a clip and its masks."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.base.listing import read_lines, visible_files
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.clip import RunWriter
from mvideo_core.media.decode import read_frames, read_gray
from mvideo_core.media.encode import write_mp4
from mvideo_core.media.probe import probe
from mvideo_core.shards.imports import Incoming
from mvideo_core.store.scratch import scratch_folder

JPEG = "pixels: frames are encoded as H.264"
IDS = "object ids: numbered from 0"
CAPTIONS = "captions: the empty text"
LABELS = "class names: all are `object`"
COPIED = ("mov", "h264", "yuv420p")
CONTAINERS = (".mp4", ".webm", ".mkv", ".mov", ".avi")
METADATA = "metadata.jsonl"
HELD_OUT = ("test", "val")


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
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: not readable as JSON ({error})") from None


def pairs(root: Path, video_column: str, masks_column: str, masks_of: Callable[[Path, str], Path]) -> Iterator[Pair]:
    """Clips with their masks, from `metadata.jsonl`, or by name if there is none.

    Args:
        root: has `metadata.jsonl`, or `videos/` and `masks/`, or folders that do: one per split.
        masks_of: path of the masks in the folder `masks` for a clip's name, for folders without metadata.

    Raises:
        ConfigError: no such folder, or a damaged list.
    """
    found = False
    for folder in (root, *sorted(one for one in root.iterdir() if one.is_dir())):
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
    mp4, fps = video_clip(pair.video, masks)
    row = pair.row
    return Incoming(
        mp4, float(row.get("fps") or fps), masks, tuple(labels), str(row.get("text", "")), source_of(row.get("source"))
    )


def source_of(values: Any) -> dict[str, Any]:
    """Where a clip comes from, if it is a mapping."""
    return dict(values) if isinstance(values, dict) else {}


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
    """Content and rate of a clip's file; it is encoded again unless it is an H.264 mp4 (4:2:0) with all frames.

    Args:
        every: take every n-th frame only.

    Raises:
        MediaError: rejected by the prober, does not decode, or its size or number of frames differs from the masks'.
    """
    info = probe(path)  # in a child process: the file may come from anywhere
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

        def noted() -> Iterator[np.ndarray]:
            for frame in frames:
                shapes.append(frame.shape)
                yield frame

        write_mp4(noted(), folder / "clip.mp4", fps)
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
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(
                f"{path}: line {number} is not a JSON object with {', '.join(columns)} ({error!r})"
            ) from None
        yield row
