"""Masks as gray mp4: lossless label maps when we write them, black and white from anywhere else."""

from pathlib import Path

import numpy as np

from mvideo_core.editing.label_maps import label_maps, read_maps
from mvideo_core.errors import MediaError
from mvideo_core.masks import MaskSequence
from mvideo_core.media.decode import first_frame, read_gray
from mvideo_core.media.encode import write_gray_mp4
from mvideo_core.media.probe import probe

COLOURED, MAX_COLOURED_FRAC = 24, 0.01
"""A pixel is coloured when its channels differ by more levels; a mask video has less than this share of them."""


def read(place: Path) -> tuple[MaskSequence, float]:
    """Masks and frame rate. A video of limited range is black and white, split at half brightness.

    Raises:
        MediaError: refused by the prober, it does not decode, or it shows colours: a picture, not masks.
    """
    info = probe(place)  # in a child process: the file may come from anywhere
    # Object numbers need 8 bits of full range: there black is 0. One gray plane may decode as full-range 4:2:0.
    numbers = info.bit_depth == 8 and info.picture.range == "pc"
    if np.mean(np.ptp(first_frame(place).astype(int), axis=2) > COLOURED) > MAX_COLOURED_FRAC:
        raise MediaError(
            f"{place}: a video in colour, no masks; to extract masks from it name the object: {place}#NAME"
        )
    return read_maps(lambda: read_gray(place), place, binary=not numbers), info.fps


def write(place: Path, sequence: MaskSequence, fps: float) -> None:
    """Lossless H.264, one gray plane.

    Raises:
        MediaError: an odd side, or no frame.
    """
    write_gray_mp4(label_maps(sequence), place, fps)
