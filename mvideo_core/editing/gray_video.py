"""Masks as gray mp4: lossless label maps when we write them, black and white from anywhere else."""

from pathlib import Path

from mvideo_core.editing.label_maps import label_maps, read_maps
from mvideo_core.masks import MaskSequence
from mvideo_core.media.decode import read_gray
from mvideo_core.media.encode import write_gray_mp4
from mvideo_core.media.probe import probe


def read(place: Path) -> tuple[MaskSequence, float]:
    """Masks and frame rate. A video with colour planes is black and white, split at half brightness.

    Raises:
        MediaError: refused by the prober, or it does not decode.
    """
    info = probe(place)  # in a child process: the file may come from anywhere
    return read_maps(lambda: read_gray(place), place, binary=not info.pix_fmt.startswith("gray")), info.fps


def write(place: Path, sequence: MaskSequence, fps: float) -> None:
    """Lossless H.264, one gray plane.

    Raises:
        MediaError: an odd side, or no frame.
    """
    write_gray_mp4(label_maps(sequence), place, fps)
