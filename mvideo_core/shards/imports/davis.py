"""DAVIS: frames as JPEG, label maps as PNG, lists of sequences."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.base.listing import read_entries, visible_files
from mvideo_core.masks.io import picture_folder
from mvideo_core.masks.io.mask_form import MaskForm
from mvideo_core.shards.imports import IMPORTS, UNNAMED, ImportFormat, Incoming, Listed
from mvideo_core.shards.imports._files import CAPTIONS, IDS, JPEG, LABELS, picture_clip, split_of

PICTURES, MAPS = "JPEGImages", "Annotations"
SIZE = "480p"
LISTS = "ImageSets/2017"


@IMPORTS.register("davis")
class Davis(ImportFormat):
    """JPEGImages/480p/NAME/, Annotations/480p/NAME/ (value n is object n - 1, 255 is nothing), ImageSets/2017/*.txt.

    Another folder than 480p is used if it is the only one. Without lists, all sequences are for training.
    """

    title = "DAVIS (palette PNG)"
    losses = (IDS, LABELS, CAPTIONS, JPEG)
    states_fps = False

    def samples(self, root: Path) -> Iterator[Listed]:
        """One per sequence, list by list."""
        if not self.fps:
            raise ConfigError(f"{root}: this format has no frame rate; give it with --fps (DAVIS: 24)")
        folders = sorted(one.name for one in (root / MAPS).iterdir()) if (root / MAPS).is_dir() else []
        size = SIZE if SIZE in folders else folders[0] if len(folders) == 1 else ""
        if not size:
            raise ConfigError(f"{root}: no {MAPS}/{SIZE} (it has {', '.join(folders) or 'nothing'}); check --from")
        lists = visible_files(root / LISTS, ".txt")
        splits = {name: split_of(one.stem) for one in lists for name in read_entries(one, "import")} or dict.fromkeys(
            sorted(one.name for one in (root / MAPS / size).iterdir() if one.is_dir()), "train"
        )
        for name, split in splits.items():
            yield Listed(name, split, partial(self._load, root / PICTURES / size / name, root / MAPS / size / name))

    def _load(self, pictures: Path, maps: Path) -> Incoming:
        for folder in (pictures, maps):
            if not folder.is_dir():
                raise MediaError(f"{folder} is missing")
        masks = picture_folder.read(maps, MaskForm("labels")).sequence
        files = visible_files(pictures, ".jpg", ".jpeg", ".png")
        return Incoming(picture_clip(files, masks, self.fps), self.fps, masks, (UNNAMED,) * masks.n_objects)
