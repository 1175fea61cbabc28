"""YouTube-VIS: frames as JPEG, and one JSON per split with a COCO run-length mask per object and frame."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import new_file
from mvideo_core.masks.io.coco_rle import coco_rle
from mvideo_core.masks.measure import area, box_xyxy
from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat
from mvideo_core.shards.exports._files import JPEG, json_list, write_jpegs


@EXPORTS.register("youtube-vis")
class YouTubeVis(ExportFormat):
    """Files: `SPLIT/JPEGImages/KEY/`, and `SPLIT/instances.json` with run lengths, boxes and areas per object and
    frame; `caption`, `fps` and `source` of a video are additions that other readers ignore.
    """

    title = "YouTube-VIS and COCO JSON (pycocotools, MMDetection, Detectron2)"
    losses = (JPEG,)

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """The frames; the entry holds the masks."""
        names = write_jpegs(out / clip.split / "JPEGImages" / clip.key, clip.frames())
        return {
            "video": {
                "width": clip.masks.width, "height": clip.masks.height, "length": len(names),
                "file_names": [f"{clip.key}/{name}" for name in names], "caption": clip.text, "fps": clip.fps,
                "source": clip.source,
            },
            "tracks": [
                {"label": label, "object_id": number} | _track(clip, n)
                for n, (label, number) in enumerate(zip(clip.labels, clip.object_ids, strict=True))
            ],
        }  # fmt: skip

    def finish(self, out: Path, entries: Entries) -> None:
        """One instances.json per split; the classes are numbered from 1 in alphabetical order over all splits."""
        labels = sorted(
            {one["label"] for split in entries.splits for entry in entries.of(split) for one in entry["tracks"]}
        )
        numbers = {label: number for number, label in enumerate(labels, 1)}
        categories = [{"id": number, "name": label} for label, number in numbers.items()]
        for split in entries.splits:
            path = out / split / "instances.json"
            with new_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
                stream.write(f'{{"categories": {json.dumps(categories, ensure_ascii=False)},\n"videos": ')
                stream.writelines(json_list(_videos(entries.of(split))))
                stream.write(',\n"annotations": ')
                stream.writelines(json_list(_annotations(entries.of(split), numbers)))
                stream.write("}\n")


def _track(clip: Clip, obj: int) -> dict[str, Any]:
    """Masks, boxes (x, y, width, height) and areas of an object, one per frame; None where it is not visible."""
    track: dict[str, Any] = {"segmentations": [], "bboxes": [], "areas": []}
    for frame in range(clip.masks.n_frames):
        edges = clip.masks.mask_edges(frame, obj)
        x0, y0, x1, y1 = box_xyxy(edges, clip.masks.width)
        seen = len(edges) > 0
        track["segmentations"].append(coco_rle(clip.masks.mask(frame, obj)) if seen else None)
        track["bboxes"].append([x0, y0, x1 - x0, y1 - y0] if seen else None)
        track["areas"].append(area(edges) if seen else None)
    return track


def _videos(entries: Iterator[Entry]) -> Iterator[Entry]:
    return ({"id": number} | entry["video"] for number, entry in enumerate(entries, 1))


def _annotations(entries: Iterator[Entry], numbers: dict[str, int]) -> Iterator[Entry]:
    ids = count(1)
    for video_id, entry in enumerate(entries, 1):
        for track in entry["tracks"]:
            masks = {name: track[name] for name in ("segmentations", "bboxes", "areas")}
            size = {name: entry["video"][name] for name in ("width", "height")}
            yield {
                "id": next(ids), "video_id": video_id, "category_id": numbers[track["label"]], "iscrowd": 0, **size,
                "object_id": track["object_id"], **masks,
            }  # fmt: skip
