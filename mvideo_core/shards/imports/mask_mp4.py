"""Clips, and their masks as gray video."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.io import gray_video
from mvideo_core.masks.io.mask_form import MaskForm
from mvideo_core.shards.imports import IMPORTS, UNNAMED, ImportFormat, Incoming, Listed
from mvideo_core.shards.imports._files import CONTAINERS, IDS, Pair, inside, labels_of, pad_objects, pairs, read_pair

ALONE = [255]
"""Values of the objects of a sample with a single one, in our own export."""


@IMPORTS.register("mask-mp4")
class MaskMp4(ImportFormat):
    """Files: `SPLIT/metadata.jsonl` as the export writes it or, without one, `SPLIT/videos/NAME.mp4` and
    `SPLIT/masks/NAME.mp4`.
    """

    title = "mask videos beside clips"
    losses = (IDS,)

    def samples(self, root: Path) -> Iterator[Listed]:
        """One per clip."""
        for pair in pairs(root, "video", "masks", _by_name):
            yield Listed(pair.name, pair.split, partial(_load, root, pair))


def _by_name(folder: Path, name: str) -> Path:
    known = (folder / f"{name}{ending}" for ending in CONTAINERS)
    return next((path for path in known if path.is_file()), folder / f"{name}.mp4")


def _load(root: Path, pair: Pair) -> Incoming:
    place = inside(root, pair.masks)
    if not pair.row:
        found = gray_video.read(place)[0]
        return read_pair(pair, root, found.labels or [UNNAMED] * found.sequence.n_objects, found.sequence)
    try:
        labels = labels_of([one["label"] for one in pair.row["objects"]])
        values = [int(one["value"]) for one in pair.row["objects"]]
    except (KeyError, TypeError, ValueError) as error:
        raise MediaError(f"its `objects` are not a list of value and label ({error!r})") from None
    if values != ALONE and values != list(range(1, len(values) + 1)):
        raise MediaError(f"objects with the values {values}; expected [255] or 1, 2, ...")
    form = MaskForm("binary" if values == ALONE else "labels")
    masks = gray_video.read(place, form, len(labels))[0].sequence
    return read_pair(pair, root, labels, pad_objects(masks, labels))
