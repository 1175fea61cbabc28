"""SA-V, the dataset of SAM 2: clips, each with a JSON of its masklets as COCO run lengths."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.base.listing import visible_files
from mvideo_core.masks.io.clip import RunWriter, edges_of
from mvideo_core.masks.io.coco_rle import from_coco_rle
from mvideo_core.shards.imports import IMPORTS, UNNAMED, ImportFormat, Incoming, Listed
from mvideo_core.shards.imports._files import IDS, labels_of, read_json, source_of, split_of, text_of, video_clip

OWN_EVERY = 4
"""SA-V's own annotations are on every fourth frame."""
KINDS = ("_manual.json", "_auto.json")


@IMPORTS.register("sa-v")
class SaV(ImportFormat):
    """Files: `NAME.mp4` with `NAME_manual.json`, in any folder; `NAME_auto.json` is read only for a clip without manual
    masklets. The topmost folder names the split, such as `sav_train` or `test`. If the masks skip frames (SA-V has
    masks for every fourth), the imported clip has only the frames with masks.
    """

    title = "SA-V (SAM 2)"
    losses = (IDS, "frames without masks, if the masks skip frames")

    def samples(self, root: Path) -> Iterator[Listed]:
        """One per clip. The topmost folder names the split, such as `sav_train` or `test`."""
        found: dict[Path, Path] = {}
        for kind in reversed(KINDS):
            for path in visible_files(root, kind, recursive=True):
                found[path.with_name(path.name.removesuffix(kind) + ".mp4")] = path
        if not found:
            raise ConfigError(f"{root}: no {' or '.join('*' + kind for kind in KINDS)} in it; check --from")
        for video in sorted(found):
            top, *_ = (*video.relative_to(root).parts[:-1], "")
            yield Listed(video.stem, split_of(top.removeprefix("sav_")), partial(_load, video, found[video]))


def _load(video: Path, path: Path) -> Incoming:
    facts = read_json(path)
    try:
        frames: list[list[dict[str, Any]]] = facts["masklet"]
        n_objects, n_all = len(frames[0]), int(facts["video_frame_count"])
        height, width = int(facts["video_height"]), int(facts["video_width"])
        labels = labels_of(facts.get("masklet_label") or [UNNAMED] * n_objects)
        counts = {len(one) for one in frames}
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise MediaError(f"{path}: not an SA-V annotation with masklets ({error!r})") from None
    if not n_objects or len(labels) != n_objects or counts != {n_objects}:
        raise MediaError(
            f"{path}: {n_objects} objects in its first frame, {len(labels)} labels, and frames that differ"
        )
    every = next((n for n in (1, OWN_EVERY, -(-n_all // len(frames))) if -(-n_all // n) == len(frames)), 0)
    if not every:
        raise MediaError(f"{path}: masks for {len(frames)} of {n_all} frames; expected every frame, or every n-th")
    writer = RunWriter(len(frames), n_objects, height, width)
    for frame in frames:
        for rle in frame:
            mask = from_coco_rle(rle)
            if mask.shape != (height, width):
                raise MediaError(
                    f"{path}: a mask of {mask.shape[1]}x{mask.shape[0]} px in a video of {width}x{height} px"
                )
            writer.append(edges_of(mask))
    masks = writer.finish()
    mp4, fps = video_clip(video, masks, every)
    return Incoming(mp4, fps, masks, tuple(labels), text_of(facts, "caption"), source_of(facts.get("source")))
