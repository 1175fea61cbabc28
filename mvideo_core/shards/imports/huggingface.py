"""A Hugging Face video folder with masks, as the export writes it."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mvideo_core.masks.io import gray_video
from mvideo_core.masks.io.mask_form import MaskForm
from mvideo_core.shards.imports import IMPORTS, ImportFormat, Incoming, Listed
from mvideo_core.shards.imports._files import IDS, Pair, inside, labels_of, pad_objects, pairs, read_pair, source_of

SOURCE = {
    "video_id": "video_id", "source_url": "url", "licence": "licence", "license": "license", "start_s": "start_s",
    "end_s": "end_s",
}  # fmt: skip


@IMPORTS.register("huggingface")
class HuggingFace(ImportFormat):
    """`SPLIT/metadata.jsonl` with `file_name`, `masks_file_name` and `labels`; pixels with value n belong to the n-th
    label, counted from 1.
    """

    title = "Hugging Face video folder of our export"
    losses = (IDS,)

    def samples(self, root: Path) -> Iterator[Listed]:
        """One per clip."""
        for pair in pairs(root, "file_name", "masks_file_name", lambda folder, name: folder / f"{name}.mp4"):
            yield Listed(pair.name, pair.split, partial(_load, root, pair))


def _load(root: Path, pair: Pair) -> Incoming:
    names = labels_of(pair.row.get("labels"))
    source = source_of({ours: pair.row.get(name) for name, ours in SOURCE.items()})
    place = inside(root, pair.masks)
    masks = gray_video.read(place, MaskForm("labels"), len(names))[0].sequence
    return read_pair(pair, root, names, pad_objects(masks, names))._replace(source=source)
