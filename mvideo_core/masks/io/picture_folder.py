"""Masks as pictures, one per frame: a folder of them, ordered by their numbers; we write PNGs."""

from collections.abc import Iterator
from pathlib import Path

from mvideo_core.base.errors import MediaError
from mvideo_core.base.listing import visible_files, visible_folders
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.frame_numbers import in_time
from mvideo_core.masks.io.label_maps import label_maps
from mvideo_core.masks.io.mask_form import MaskForm
from mvideo_core.masks.io.mask_frames import Frames, MaskFrame, Read, read_frames
from mvideo_core.masks.io.picture_file import ENDINGS, LOSSY, read_picture


def read(place: Path, form: MaskForm = MaskForm(), n_known: int = 0) -> Read:
    """The masks in a folder, or in one picture.

    Args:
        n_known: number of objects in the description next to them; 0 = unknown.

    Raises:
        MediaError: no picture, missing numbers, a picture that is damaged or has a different size than the first, or an
            ambiguous form.
    """
    files = [place] if place.is_file() else in_time(_of_one_kind(place), place, form.joined)
    numbers = files[0].suffix.lower() not in LOSSY

    def frames() -> Iterator[MaskFrame]:
        return (read_picture(file, form)._replace(file=file.name) for file in files)

    source: Frames = frames
    return read_frames(source, str(place), form, numbers, n_known)


def write(place: Path, sequence: MaskSequence) -> None:
    """Write one gray or palette PNG per frame into an empty folder."""
    from PIL import Image

    from mvideo_core.masks.draw import COLORS

    for number, frame in enumerate(label_maps(sequence)):
        image = Image.fromarray(frame)
        if sequence.n_objects > 1:
            palette = [(0, 0, 0), *(COLORS[n % len(COLORS)] for n in range(sequence.n_objects))]
            image.putpalette([value for color in palette for value in color])
        image.save(place / f"{number:05d}.png")


def _of_one_kind(place: Path) -> list[Path]:
    files = visible_files(place, *ENDINGS)
    kinds = sorted({file.suffix.lower() for file in files})
    if not files:
        inner = [folder.name for folder in visible_folders(place)]
        if inner:
            raise MediaError(f"{place}: no pictures inside, only folders ({', '.join(inner[:3])}): use one of them")
        raise MediaError(f"{place}: no pictures inside ({', '.join(ENDINGS)}); a folder of masks has one per frame")
    if len(kinds) > 1:
        raise MediaError(
            f"{place}: pictures of several formats ({', '.join(kinds)}); keep only the masks, in one format"
        )
    return files
