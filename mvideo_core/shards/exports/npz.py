"""A clip and a compressed NumPy array of its label maps, the form of VPData's masks."""

from pathlib import Path

from mvideo_core.base.disk import new_file
from mvideo_core.masks.io.arrays import write_label_maps
from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat
from mvideo_core.shards.exports._files import OVERLAPS, number_maps, write_clip, write_json_lines


@EXPORTS.register("npz")
class Npz(ExportFormat):
    """Files: `SPLIT/videos/KEY.mp4`, `SPLIT/masks/KEY/all_masks.npz` with `arr_0` (T, H, W) uint8, and
    `SPLIT/metadata.jsonl`. Value n is object n of the metadata's `object_ids` and `labels`, counted from 1; 0 is
    background.
    """

    title = "NumPy"
    losses = (OVERLAPS,)

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """The clip and its array."""
        maps, hidden_px = number_maps(clip)
        video, masks = write_clip(out, clip), f"masks/{clip.key}/all_masks.npz"
        with new_file(out / clip.split / masks) as part:
            write_label_maps(part, maps)
        row = {
            "video": video, "masks": masks, "text": clip.text, "fps": clip.fps,
            "object_ids": list(clip.object_ids), "labels": list(clip.labels), "source": clip.source,
        }  # fmt: skip
        return {"row": row, "hidden_px": hidden_px}

    def finish(self, out: Path, entries: Entries) -> None:
        """metadata.jsonl of each split."""
        for split in entries.splits:
            write_json_lines(out / split / "metadata.jsonl", (entry["row"] for entry in entries.of(split)))
