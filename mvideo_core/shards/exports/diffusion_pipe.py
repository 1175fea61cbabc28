"""diffusion-pipe: a folder of clips with captions, and a dataset TOML, per split."""

from pathlib import Path

from mvideo_core.base.disk import write_whole
from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat
from mvideo_core.shards.exports._files import ABSOLUTE, MASKS, Sizes, toml_text, write_clip


@EXPORTS.register("diffusion-pipe")
class DiffusionPipe(ExportFormat):
    """Files: `SPLIT/videos/KEY.mp4` and `KEY.txt`, `SPLIT/dataset.toml`."""

    title = "diffusion-pipe"
    losses = (MASKS, ABSOLUTE)

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """The clip and its caption."""
        write_clip(out, clip)
        write_whole(out / clip.split / "videos" / f"{clip.key}.txt", clip.text)
        return {"size": [clip.masks.width, clip.masks.height]}

    def finish(self, out: Path, entries: Entries) -> None:
        """dataset.toml of each split. The frame bucket is that of the shortest clip: shorter clips would be dropped."""
        for split in entries.splits:
            folder = (out / split).resolve()
            sizes = Sizes.of(entries.of(split))
            lines = [
                f"resolutions = [[{sizes.width}, {sizes.height}]]", "enable_ar_bucket = true", "min_ar = 0.5",
                "max_ar = 2.0", "num_ar_buckets = 7", f"frame_buckets = [1, {sizes.n_frames}]", "", "[[directory]]",
                f"path = {toml_text(folder / 'videos')}", "num_repeats = 1",
            ]  # fmt: skip
            write_whole(folder / "dataset.toml", "\n".join(lines) + "\n")
