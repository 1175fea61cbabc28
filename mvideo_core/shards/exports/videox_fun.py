"""VideoX-Fun's control training: a metadata JSON per split."""

from pathlib import Path

from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat
from mvideo_core.shards.exports._files import OBJECTS, write_clip, write_control, write_json_list


@EXPORTS.register("videox-fun")
class VideoXFun(ExportFormat):
    """Files: `SPLIT/train/KEY.mp4`, `SPLIT/control/KEY.mp4`, and `SPLIT/metadata.json` with `file_path`,
    `control_file_path`, `text`, `type`, `width` and `height`; paths are relative to SPLIT. Pass SPLIT as
    `--train_data_dir` (DATASET_NAME in the scripts) and the JSON as `--train_data_meta`.
    """

    title = "VideoX-Fun, control training"
    losses = (OBJECTS,)

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """The clip and its control video."""
        row = {
            "file_path": write_clip(out, clip, "train"), "control_file_path": write_control(out, clip, "control"),
            "text": clip.text, "type": "video", "width": clip.masks.width, "height": clip.masks.height,
        }  # fmt: skip
        return {"row": row}

    def finish(self, out: Path, entries: Entries) -> None:
        """metadata.json of each split."""
        for split in entries.splits:
            write_json_list(out / split / "metadata.json", (entry["row"] for entry in entries.of(split)))
