"""DiffSynth-Studio's training of VACE models: a metadata CSV per split."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mvideo_core.base.disk import new_file
from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat
from mvideo_core.shards.exports._files import OBJECTS, write_clip, write_control

COLUMNS = ("video", "prompt", "vace_video", "vace_video_mask")
GRAY = 128


@EXPORTS.register("diffsynth")
class DiffSynth(ExportFormat):
    """Files: `SPLIT/videos/KEY.mp4`, `SPLIT/vace_videos/KEY.mp4`, `SPLIT/vace_masks/KEY.mp4`, and `SPLIT/metadata.csv`
    with the columns `video`, `prompt`, `vace_video` and `vace_video_mask` and paths relative to SPLIT. `vace_video` is
    the clip, re-encoded with gray in place of the objects, so that the model does not see what it has to fill in. Train
    with `--dataset_base_path SPLIT --data_file_keys "video,vace_video,vace_video_mask"`.
    """

    title = "DiffSynth-Studio, training of VACE models"
    losses = (OBJECTS,)

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """The clip, the clip with gray masks, and the masks."""
        from mvideo_core.media.encode import write_mp4

        masked = f"vace_videos/{clip.key}.mp4"
        write_mp4(_gray_masks(clip), out / clip.split / masked, clip.fps)
        row = [write_clip(out, clip), clip.text, masked, write_control(out, clip, "vace_masks")]
        return {"row": row}

    def finish(self, out: Path, entries: Entries) -> None:
        """metadata.csv of each split."""
        for split in entries.splits:
            with (
                new_file(out / split / "metadata.csv") as part,
                part.open("w", encoding="utf-8", newline="") as stream,
            ):
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(COLUMNS)
                writer.writerows(entry["row"] for entry in entries.of(split))


def _gray_masks(clip: Clip) -> Iterator[np.ndarray]:
    for number, frame in enumerate(clip.frames()):
        inside = np.asarray(clip.masks.frame(number).any(axis=0))
        yield np.where(inside[..., None], np.uint8(GRAY), frame)
