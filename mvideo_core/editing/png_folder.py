"""Masks as a folder of PNGs, one per frame, in the order of their names (numbers in them count as numbers)."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mvideo_core.editing.label_maps import label_maps, read_maps
from mvideo_core.errors import MediaError
from mvideo_core.listing import visible_files
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.codec import check_shape

VOID = 255
"""Palette number that DAVIS and VOC give to pixels of no object."""


def read(place: Path) -> MaskSequence:
    """The masks of a folder. Palette images (DAVIS) are label maps; gray ones see `label_maps`.

    Raises:
        MediaError: no PNG, an image that is damaged, has colours, or another size than the first.
    """
    files = sorted(visible_files(place, ".png"), key=_order)
    if not files:
        raise MediaError(f"{place}: no .png inside; a folder of masks has one per frame")
    return read_maps(lambda: _frames(files), place)


def write(place: Path, sequence: MaskSequence) -> None:
    """One gray or palette PNG per frame into an empty folder."""
    from PIL import Image

    from mvideo_core.report.overlay import COLOURS

    for number, frame in enumerate(label_maps(sequence)):
        image = Image.fromarray(frame)
        if sequence.n_objects > 1:
            palette = [(0, 0, 0), *(COLOURS[n % len(COLOURS)] for n in range(sequence.n_objects))]
            image.putpalette([value for colour in palette for value in colour])
        image.save(place / f"{number:05d}.png")


def _frames(files: list[Path]) -> Iterator[np.ndarray]:
    from PIL import Image, UnidentifiedImageError

    for file in files:
        try:
            with Image.open(file) as image:
                check_shape(1, 1, image.height, image.width)
                if image.mode not in ("1", "L", "P"):
                    raise MediaError(f"{file}: {image.mode} image; gray or palette (one number per pixel) wanted")
                frame = np.array(image.convert("L") if image.mode == "1" else image, np.uint8)
                yield np.where(frame == VOID, 0, frame) if image.mode == "P" else frame
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise MediaError(f"{file}: not a readable PNG: {error}") from None


def _order(file: Path) -> list[tuple[int, int | str]]:
    """frame10 after frame9."""
    parts = re.split(r"(\d+)", file.stem)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]
