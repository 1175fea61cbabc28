"""YouTube-VIS: frames as pictures, and a JSON per split with a COCO run-length mask per object and frame."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.base.listing import visible_folders
from mvideo_core.masks.io.clip import RunWriter, edges_of
from mvideo_core.masks.io.coco_rle import from_coco_rle
from mvideo_core.shards.imports import IMPORTS, ImportFormat, Incoming, Listed
from mvideo_core.shards.imports._files import (
    IDS,
    JPEG,
    MAX_FPS,
    inside,
    number_of,
    picture_clip,
    read_json,
    source_of,
    split_of,
    text_of,
)

LIST = "instances.json"
PICTURES = "JPEGImages"


@IMPORTS.register("youtube-vis")
class YouTubeVis(ImportFormat):
    """Files: `SPLIT/instances.json` (run lengths, compressed or not) and `SPLIT/JPEGImages/NAME/`, or both without
    SPLIT. A JSON without `fps` needs `--fps`. The whole JSON is read into memory.
    """

    title = "YouTube-VIS and COCO JSON of videos"
    losses = (IDS, JPEG)
    states_fps = False

    def samples(self, root: Path) -> Iterator[Listed]:
        """One per video, in the order of the list."""
        lists = [folder / LIST for folder in (root, *visible_folders(root))]
        if not any(path.is_file() for path in lists):
            raise ConfigError(f"{root}: no {LIST}, here or in a folder per split; check --from")
        for path in (one for one in lists if one.is_file()):
            split = split_of(path.parent.name) if path.parent != root else "train"
            videos, tracks, names = self._read(path)
            for name, video in videos.items():
                yield Listed(name, split, partial(_load, path.parent, video, tracks.get(video["id"], []), names))

    def _read(self, path: Path) -> tuple[dict[str, Any], dict[Any, list[dict[str, Any]]], dict[Any, str]]:
        """Videos by name, tracks by video, names of the classes."""
        try:
            document = read_json(path)
            names = {one["id"]: text_of(one, "name") for one in document["categories"]}
            tracks: dict[Any, list[dict[str, Any]]] = {}
            for one in document.get("annotations") or []:
                tracks.setdefault(one["video_id"], []).append(one)
            videos, numbers = {}, set()
            for video in document["videos"]:
                if not number_of(video, "fps", MAX_FPS) and not self.fps:
                    raise ConfigError(f"{path}: video {video['id']} has no frame rate; give it with --fps")
                if video["id"] in numbers:
                    raise ConfigError(f"{path}: two videos have the id {video['id']}, so their masks are mixed")
                numbers.add(video["id"])
                name = PurePosixPath(video["file_names"][0]).parent.name or str(video["id"])
                if name in videos:
                    raise ConfigError(f"{path}: two videos are in the folder {name}; their keys would be equal")
                videos[name] = video | {"fps": video.get("fps") or self.fps}
        except MediaError as error:
            raise ConfigError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ConfigError(
                f"{path}: not a list of videos ({error!r}); expected `videos`, `annotations` with `segmentations`, and "
                "`categories`; COCO lists of single images are not videos"
            ) from None
        return videos, tracks, names


def _load(folder: Path, video: dict[str, Any], tracks: list[dict[str, Any]], names: dict[Any, str]) -> Incoming:
    if not tracks:
        raise MediaError(f"video {video['id']}: no annotation of it in the list")
    try:
        n_frames, height, width = len(video["file_names"]), int(video["height"]), int(video["width"])
        tracks = sorted(tracks, key=lambda one: (one.get("object_id", 0), one["id"]))
        labels = tuple(names[one["category_id"]] for one in tracks)
        by_object = [one["segmentations"] for one in tracks]
    except (KeyError, TypeError, ValueError) as error:
        raise MediaError(f"video {video['id']}: an incomplete annotation ({error!r})") from None
    if any(len(one) != n_frames for one in by_object):
        raise MediaError(f"video {video['id']}: {n_frames} frames, masks for {sorted({len(one) for one in by_object})}")
    writer = RunWriter(n_frames, len(tracks), height, width)
    for frame in range(n_frames):
        for track in by_object:
            mask = np.zeros((height, width), np.bool_) if track[frame] is None else from_coco_rle(track[frame])
            if mask.shape != (height, width):
                raise MediaError(f"video {video['id']}: a mask of {mask.shape}, frames of {(height, width)} (H, W)")
            writer.append(edges_of(mask))
    masks = writer.finish()
    files = [inside(folder, folder / PICTURES / str(name)) for name in video["file_names"]]
    fps, text = float(video["fps"]), text_of(video, "caption")
    return Incoming(picture_clip(files, masks, fps), fps, masks, labels, text, source_of(video.get("source")))
