"""DAVIS: frames as JPEG, label maps as PNG, lists of sequences."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import read_entries, visible_files, visible_folders
from mvideo_core.masks.io import picture_folder
from mvideo_core.masks.io.mask_form import MaskForm
from mvideo_core.shards.imports import IMPORTS, UNNAMED, ImportFormat, Incoming, Listed
from mvideo_core.shards.imports._files import CAPTIONS, IDS, JPEG, LABELS, inside, picture_clip, split_of

PICTURES, MAPS = "JPEGImages", "Annotations"
SIZE = "480p"
LISTS = "ImageSets/2017"


@IMPORTS.register("davis")
class Davis(ImportFormat):
    """Files: `JPEGImages/480p/NAME/`, `Annotations/480p/NAME/` (value n is object n - 1, 255 is nothing),
    `ImageSets/2017/*.txt`. A folder with another name than `480p` is used if it is the only one. A sequence in the
    lists of both splits goes to the test split. The format has no frame rate, so give `--fps` (DAVIS: 24).
    """

    title = "DAVIS (palette PNG)"
    losses = (IDS, LABELS, CAPTIONS, JPEG)
    states_fps = False

    def samples(self, root: Path) -> Iterator[Listed]:
        """One per sequence, list by list."""
        if not self.fps:
            raise ConfigError(f"{root}: this format has no frame rate; give it with --fps (DAVIS: 24)")
        folders = [one.name for one in visible_folders(root / MAPS)]
        size = SIZE if SIZE in folders else folders[0] if len(folders) == 1 else ""
        if not size:
            raise ConfigError(f"{root}: no {MAPS}/{SIZE} (it has {', '.join(folders) or 'nothing'}); check --from")
        for name, split in self._splits(root, size).items():
            yield Listed(name, split, partial(self._load, root, Path(size, name)))

    def _splits(self, root: Path, size: str) -> dict[str, str]:
        """Split of each sequence. One that is in lists of both (trainval.txt) is held out."""
        lists = visible_files(root / LISTS, ".txt")
        entries = [(name, split_of(one.stem)) for one in lists for name in read_entries(one, "import")]
        sequences = entries or [(one.name, "train") for one in visible_folders(root / MAPS / size)]
        held_out = {name for name, split in sequences if split == "test"}
        return {name: "test" if name in held_out else "train" for name, _ in sequences}

    def _load(self, root: Path, place: Path) -> Incoming:
        pictures, maps = (inside(root, root / kind / place) for kind in (PICTURES, MAPS))
        masks = picture_folder.read(maps, MaskForm("labels")).sequence
        files = visible_files(pictures, ".jpg", ".jpeg", ".png")
        return Incoming(picture_clip(files, masks, self.fps), self.fps, masks, (UNNAMED,) * masks.n_objects)
