"""A Hugging Face video folder: metadata per split, and a card from which the hub finds it."""

from pathlib import Path

from mvideo_core.base.disk import write_whole
from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat
from mvideo_core.shards.exports._croissant import write_croissant
from mvideo_core.shards.exports._files import OVERLAPS, number_maps, write_clip, write_json_lines

CARD = """
tags:
- video
- segmentation
---

# Videos with masks and captions

Each row has a clip (`video`), its masks as a lossless gray video (`masks`: 0 is background, n is the object of label n,
counted from 1), its caption (`text`), frame rate (`fps`), `labels`, and where the clip comes from, with the license.

```python
from datasets import load_dataset

samples = load_dataset("PATH OR REPOSITORY")
```
"""

TITLE = "Videos with masks and captions"
COLUMNS = {
    "key": "Text", "file_name": "Text", "masks_file_name": "Text", "text": "Text", "fps": "Float", "labels": "Text*",
    "video_id": "Text", "source_url": "Text", "licence": "Text", "start_s": "Float", "end_s": "Float",
}  # fmt: skip


@EXPORTS.register("huggingface")
class HuggingFace(ExportFormat):
    """Files: `SPLIT/videos/KEY.mp4`, `SPLIT/masks/KEY.mp4` (lossless gray label maps), `SPLIT/metadata.jsonl`,
    `README.md`, and `croissant.json`, metadata for dataset search engines.

    Columns: `video`, `masks` (a video, too), `key`, `text`, `fps`, `labels`, and the source: `video_id`, `source_url`,
    `licence`, `start_s`, `end_s`. Pixels with value n belong to the n-th label, counted from 1.
    """

    title = "Hugging Face datasets (videofolder) and the hub"
    losses = (OVERLAPS,)

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """Both videos."""
        from mvideo_core.media.encode import write_gray_mp4

        maps, hidden_px = number_maps(clip)
        video, masks = write_clip(out, clip), f"masks/{clip.key}.mp4"
        write_gray_mp4(maps, out / clip.split / masks, clip.fps)
        source = {"source_url" if name == "url" else name: value for name, value in clip.source.items()}
        columns = {"text": clip.text, "fps": clip.fps, "labels": list(clip.labels), **source}
        row = {"file_name": video, "masks_file_name": masks, **columns}
        return {"row": row, "hidden_px": hidden_px}

    def finish(self, out: Path, entries: Entries) -> None:
        """metadata.jsonl of each split, the card, and its description for dataset search engines."""
        lines = ["---", "configs:", "- config_name: default", "  data_files:"]
        for split in entries.splits:
            rows = ({"key": entry["key"], **entry["row"]} for entry in entries.of(split))
            write_json_lines(out / split / "metadata.jsonl", rows)
            lines += [f"  - split: {split}", f"    path: {split}/**"]
        write_whole(out / "README.md", "\n".join(lines) + CARD)
        self._describe(out, entries)

    def _describe(self, out: Path, entries: Entries) -> None:
        licences = sorted({entry["row"]["licence"] for split in entries.splits for entry in entries.of(split)} - {""})
        about = {
            "name": TITLE, "license": licences or ["not stated"],
            "description": "Clips, their masks as lossless gray video (value n is label n, counted from 1), captions.",
        }  # fmt: skip
        lists = {split: f"{split}/metadata.jsonl" for split in entries.splits}
        files = {f"{split}-{kind}": f"{split}/{kind}/*.mp4" for split in entries.splits for kind in ("videos", "masks")}
        write_croissant(out, about, lists, files, COLUMNS)
