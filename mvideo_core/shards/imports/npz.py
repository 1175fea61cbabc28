"""Clips, and their label maps as NumPy arrays: the form of VPData's masks."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mvideo_core.masks.io.arrays import read_npz
from mvideo_core.masks.io.mask_form import MaskForm
from mvideo_core.shards.imports import IMPORTS, UNNAMED, ImportFormat, Incoming, Listed
from mvideo_core.shards.imports._files import IDS, Pair, inside, labels_of, pad_objects, pairs, read_pair

LABEL_MAPS = MaskForm("labels", "THW")


@IMPORTS.register("npz")
class Npz(ImportFormat):
    """Files: `SPLIT/metadata.jsonl` as the export writes it or, without one, `SPLIT/videos/NAME.mp4` and
    `SPLIT/masks/NAME.npz` or `SPLIT/masks/NAME/all_masks.npz`, an array (T, H, W) in which value n is object n - 1.
    """

    title = "npz label maps beside clips"
    losses = (IDS,)

    def samples(self, root: Path) -> Iterator[Listed]:
        """One per clip."""
        for pair in pairs(root, "video", "masks", _by_name):
            yield Listed(pair.name, pair.split, partial(_load, root, pair))


def _by_name(folder: Path, name: str) -> Path:
    plain = folder / f"{name}.npz"
    return plain if plain.is_file() else folder / name / "all_masks.npz"


def _load(root: Path, pair: Pair) -> Incoming:
    masks = read_npz(inside(root, pair.masks), LABEL_MAPS)[0].sequence
    names = labels_of(pair.row.get("labels", [UNNAMED] * masks.n_objects))
    return read_pair(pair, root, names, pad_objects(masks, names))
