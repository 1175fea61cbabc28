"""musubi-tuner: a dataset TOML and a JSONL per split."""

from pathlib import Path

from mvideo_core.base.disk import write_whole
from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat
from mvideo_core.shards.exports._files import (
    ABSOLUTE,
    OBJECTS,
    RATE,
    Sizes,
    toml_text,
    write_clip,
    write_control,
    write_json_lines,
)


@EXPORTS.register("musubi-tuner")
class MusubiTuner(ExportFormat):
    """Files: `SPLIT/videos/KEY.mp4`, `SPLIT/control/KEY.mp4`, `SPLIT/metadata.jsonl`, `SPLIT/dataset.toml`."""

    title = "musubi-tuner, with control videos"
    losses = (OBJECTS, RATE, ABSOLUTE)

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """The clip and its control video."""
        size = {"size": [clip.masks.width, clip.masks.height]}
        return {
            "video": write_clip(out, clip),
            "control": write_control(out, clip, "control"),
            "text": clip.text,
            **size,
        }

    def finish(self, out: Path, entries: Entries) -> None:
        """List and TOML of each split.

        Without `source_fps`, the trainer takes every frame. With it, it would drop frames, and then skip clips that
        have fewer than `target_frames` left.
        """
        for split in entries.splits:
            folder = (out / split).resolve()
            write_json_lines(
                folder / "metadata.jsonl",
                (
                    {
                        "video_path": str(folder / entry["video"]), "control_path": str(folder / entry["control"]),
                        "caption": entry["text"],
                    }
                    for entry in entries.of(split)
                ),
            )  # fmt: skip
            sizes = Sizes.of(entries.of(split))
            lines = [
                "[general]", f"resolution = [{sizes.width}, {sizes.height}]", "batch_size = 1", "enable_bucket = true",
                "bucket_no_upscale = true", "", "[[datasets]]",
                f"video_jsonl_file = {toml_text(folder / 'metadata.jsonl')}",
                f"cache_directory = {toml_text(folder / 'cache')}", f"target_frames = [{sizes.n_frames}]",
                'frame_extraction = "head"',
            ]  # fmt: skip
            write_whole(folder / "dataset.toml", "\n".join(lines) + "\n")
