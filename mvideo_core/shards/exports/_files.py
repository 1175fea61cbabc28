"""Files that several formats share: frames, clips, label maps, control videos, lists."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.disk import new_file, write_whole
from mvideo_core.base.errors import MediaError
from mvideo_core.masks.io.gray_levels import WHITE
from mvideo_core.masks.io.label_maps import label_maps
from mvideo_core.masks.measure import areas
from mvideo_core.shards.exports import Clip, Entry

JPEG_QUALITY = 95
OVERLAPS = "overlaps: the later object wins"
OBJECTS = "objects: one mask for all of them"
LABELS = "class names"
JPEG = f"exact pixel values: frames are JPEG, quality {JPEG_QUALITY}"
CAPTIONS = "captions"
RATE = "frame rate"
MASKS = "masks: this trainer has no use for them"
ABSOLUTE = "portability: lists have absolute paths, so export again after moving the folder"


class Sizes(NamedTuple):
    """What trainers' configurations say about all clips.

    Attributes:
        width, height: of the first clip.
        n_frames: the largest 4 n + 1 that every clip has.
    """

    width: int
    height: int
    n_frames: int

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Sizes":
        """From entries with `size` [width, height]."""
        size, fewest = [0, 0], 0
        for entry in entries:
            size = size if fewest else entry["size"]
            fewest = min(fewest or entry["n_frames"], entry["n_frames"])
        return cls(size[0], size[1], max(1, (fewest - 1) // 4 * 4 + 1))


def toml_text(value: object) -> str:
    """A TOML string; JSON's form is valid in TOML."""
    return json.dumps(str(value), ensure_ascii=False)


def write_jpegs(folder: Path, frames: np.ndarray) -> list[str]:
    """Write frames, (T, H, W, 3) uint8 RGB, as 00000.jpg, 00001.jpg, ...; returns the names."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:05d}.jpg" for number in range(len(frames))]
    for name, frame in zip(names, frames, strict=True):
        Image.fromarray(frame).save(folder / name, quality=JPEG_QUALITY)
    return names


def number_maps(clip: Clip, *, white: bool = False) -> tuple[list[np.ndarray], int]:
    """A label map per frame, and the pixels of objects under a later one that the maps lose; see `label_maps`.

    Raises:
        MediaError: more objects than numbers.
    """
    if clip.masks.n_objects >= WHITE:
        raise MediaError(f"{clip.masks.n_objects} objects, but label maps hold at most {WHITE - 1}; export to sa-v")
    maps = list(label_maps(clip.masks, white=white))
    return maps, int(areas(clip.masks).sum()) - sum(int(np.count_nonzero(one)) for one in maps)


def write_clip(out: Path, clip: Clip, folder: str = "videos") -> str:
    """Write the clip's file unchanged below the folder of its split; returns its path there."""
    path = f"{folder}/{clip.key}.mp4"
    write_whole(out / clip.split / path, clip.mp4)
    return path


def write_control(out: Path, clip: Clip, folder: str) -> str:
    """Write the union of all masks, white on black, as lossless gray video; returns its path below the split."""
    from mvideo_core.media.encode import write_gray_mp4

    path = f"{folder}/{clip.key}.mp4"
    planes = (np.where(clip.masks.frame(t).any(axis=0), np.uint8(255), np.uint8(0)) for t in range(clip.masks.n_frames))
    write_gray_mp4(planes, out / clip.split / path, clip.fps)
    return path


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file line by line."""
    with new_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def write_json_lines(path: Path, rows: Iterable[Any]) -> None:
    """Write one JSON value per line."""
    write_lines(path, (json.dumps(row, ensure_ascii=False) for row in rows))


def write_json_list(path: Path, rows: Iterable[Any]) -> None:
    """Write a JSON list, one item per line."""
    with new_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(json_list(rows))
        stream.write("\n")


def json_list(rows: Iterable[Any]) -> Iterator[str]:
    """Pieces of a JSON list, one item at a time."""
    separator = "[\n"
    for row in rows:
        yield separator + json.dumps(row, ensure_ascii=False)
        separator = ",\n"
    yield "\n]" if separator == ",\n" else "[]"


def one_line(text: str) -> str:
    """A caption without line breaks, for lists with one per line."""
    return " ".join(text.split())
