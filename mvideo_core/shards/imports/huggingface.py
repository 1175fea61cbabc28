"""A Hugging Face video folder with masks, as our export writes it."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.io import gray_video
from mvideo_core.masks.io.mask_form import MaskForm
from mvideo_core.shards.imports import IMPORTS, ImportFormat, Incoming, Listed
from mvideo_core.shards.imports._files import IDS, Pair, inside, pad_objects, pairs, read_pair

SOURCE = {"video_id": "video_id", "source_url": "url", "licence": "licence", "start_s": "start_s", "end_s": "end_s"}


@IMPORTS.register("huggingface")
class HuggingFace(ImportFormat):
    """SPLIT/metadata.jsonl with `file_name`, `masks_file_name` and `labels`; value n of a mask is label n, from 1."""

    title = "Hugging Face video folder of our export"
    losses = (IDS,)

    def samples(self, root: Path) -> Iterator[Listed]:
        """One per clip."""
        for pair in pairs(root, "file_name", "masks_file_name", lambda folder, name: folder / f"{name}.mp4"):
            yield Listed(pair.name, pair.split, partial(_load, root, pair))


def _load(root: Path, pair: Pair) -> Incoming:
    labels = pair.row.get("labels")
    if not isinstance(labels, list) or not labels:
        raise MediaError(f"its `labels` are {labels!r}; expected a list of names")
    names = [str(one) for one in labels]
    place = inside(root, pair.masks)
    masks = gray_video.read(place, MaskForm("labels"), len(names))[0].sequence
    incoming = read_pair(pair, root, names, pad_objects(masks, names))
    return incoming._replace(source={ours: pair.row[name] for name, ours in SOURCE.items() if name in pair.row})
