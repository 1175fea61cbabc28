"""finetrainers and the CogVideoX scripts of diffusers: a list of captions and a list of clips per split."""

from pathlib import Path

from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat
from mvideo_core.shards.exports._files import MASKS, one_line, write_clip, write_lines


@EXPORTS.register("diffusers")
class Diffusers(ExportFormat):
    """Files: `SPLIT/prompts.txt`, `SPLIT/videos.txt`, `SPLIT/videos/KEY.mp4`; line n of both lists is one sample."""

    title = "diffusers' CogVideoX training, finetrainers"
    losses = (MASKS, "line breaks of captions")

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """The clip."""
        return {"video": write_clip(out, clip), "text": one_line(clip.text)}

    def finish(self, out: Path, entries: Entries) -> None:
        """Both lists of each split."""
        for split in entries.splits:
            write_lines(out / split / "videos.txt", (entry["video"] for entry in entries.of(split)))
            write_lines(out / split / "prompts.txt", (entry["text"] for entry in entries.of(split)))
