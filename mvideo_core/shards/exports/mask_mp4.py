"""A clip and a lossless gray video of its label maps."""

from pathlib import Path

from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat
from mvideo_core.shards.exports._files import OVERLAPS, number_maps, write_clip, write_json_lines


@EXPORTS.register("mask-mp4")
class MaskMp4(ExportFormat):
    """Files: `SPLIT/videos/KEY.mp4`, `SPLIT/masks/KEY.mp4`, `SPLIT/metadata.jsonl`.

    The gray level of each object is in the metadata: 255 for a single object; 1, 2, ... for several, in the order of
    their ids.
    """

    title = "any video reader (PyAV, OpenCV, ffmpeg), `mvideo masks`"
    losses = (OVERLAPS,)

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """Both videos."""
        from mvideo_core.media.encode import write_gray_mp4

        maps, hidden_px = number_maps(clip, white=True)
        video, masks = write_clip(out, clip), f"masks/{clip.key}.mp4"
        write_gray_mp4(maps, out / clip.split / masks, clip.fps)
        values = [255] if len(clip.labels) == 1 else range(1, len(clip.labels) + 1)
        objects = [
            {"value": value, "object_id": number, "label": label}
            for value, number, label in zip(values, clip.object_ids, clip.labels, strict=True)
        ]
        row = {
            "video": video, "masks": masks, "text": clip.text, "fps": clip.fps, "objects": objects,
            "source": clip.source,
        }  # fmt: skip
        return {"row": row, "hidden_px": hidden_px}

    def finish(self, out: Path, entries: Entries) -> None:
        """metadata.jsonl of each split."""
        for split in entries.splits:
            write_json_lines(out / split / "metadata.jsonl", (entry["row"] for entry in entries.of(split)))
