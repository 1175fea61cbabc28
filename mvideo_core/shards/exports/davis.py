"""DAVIS 2017: frames as JPEG, label maps as palette PNG, lists of sequences."""

from pathlib import Path

import numpy as np

from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat
from mvideo_core.shards.exports._files import (
    CAPTIONS,
    JPEG,
    LABELS,
    OVERLAPS,
    RATE,
    number_maps,
    write_jpegs,
    write_lines,
)

SIZE = "480p"
"""The folder that readers of DAVIS expect."""

LISTS = {"train": "train.txt", "test": "val.txt"}


@EXPORTS.register("davis")
class Davis(ExportFormat):
    """Files: `JPEGImages/480p/KEY/`, `Annotations/480p/KEY/` (0 is background, n the n-th object), and
    `ImageSets/2017/train.txt` and `val.txt` (the test split). `480p` is only the name of the folder; frames keep their
    size.
    """

    title = "DAVIS 2017 (davis2017-evaluation, XMem, Cutie, SAM 2)"
    losses = (OVERLAPS, LABELS, CAPTIONS, RATE, JPEG)

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """Frames and label maps: 0 is background, n the n-th object."""
        from PIL import Image

        maps, hidden_px = number_maps(clip)
        write_jpegs(out / "JPEGImages" / SIZE / clip.key, clip.frames())
        folder = out / "Annotations" / SIZE / clip.key
        folder.mkdir(parents=True, exist_ok=True)
        palette = davis_palette().reshape(-1).tolist()
        for number, pixels in enumerate(maps):
            image = Image.fromarray(pixels)
            image.putpalette(palette)
            image.save(folder / f"{number:05d}.png")
        return {"hidden_px": hidden_px}

    def finish(self, out: Path, entries: Entries) -> None:
        """The list of sequences of each split."""
        for split in entries.splits:
            name = LISTS.get(split, f"{split}.txt")
            write_lines(out / "ImageSets" / "2017" / name, (entry["key"] for entry in entries.of(split)))


def davis_palette() -> np.ndarray:
    """The 256 colors of DAVIS, (256, 3) uint8: 22 colors as in PASCAL VOC, with 191 for 192; then gray levels."""
    numbers = np.arange(256)
    colors = np.repeat(numbers[:, None], 3, axis=1)
    for channel in range(3):
        level = ((numbers >> channel) & 1) * 128 + ((numbers >> (channel + 3)) & 1) * 64
        colors[:22, channel] = np.where(level == 192, 191, level)[:22]
    return colors.astype(np.uint8)
