"""Masks as video: we write lossless gray label maps, and read those, black-and-white videos, or videos with alpha."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.label_maps import label_maps
from mvideo_core.masks.io.mask_form import MaskForm
from mvideo_core.masks.io.mask_frames import MaskFrame, Read, read_frames
from mvideo_core.media.damage import refuse_damage
from mvideo_core.media.decode import read_mattes
from mvideo_core.media.encode import write_gray_mp4
from mvideo_core.media.probe import probe


def read(place: Path, form: MaskForm = MaskForm(), n_known: int = 0) -> tuple[Read, float]:
    """Masks and frame rate. A limited-range video cannot hold object numbers; it is split at half brightness.

    Args:
        n_known: number of objects in the description next to it; 0 = unknown.

    Raises:
        MediaError: rejected by the prober, damaged, shows colors, or has an ambiguous form.
    """
    info = probe(place)  # in a child process: the file may come from anywhere
    refuse_damage(place, info)  # a decoder conceals damage: the masks would be others
    # Object numbers need 8 bits of full range: there black is 0. One gray plane may decode as full-range 4:2:0.
    limited = info.picture.range != "pc"
    numbers = info.bit_depth == 8 and not limited

    def frames() -> Iterator[MaskFrame]:
        for matte in read_mattes(place):
            luma = _expand_range(matte.luma) if limited else matte.luma
            yield MaskFrame(luma, matte.rgb, matte.alpha)

    extract = f" (to extract masks from it, name the object: {place}#NAME)"
    return read_frames(frames, str(place), form, numbers, n_known, extract), info.fps


def write(place: Path, sequence: MaskSequence, fps: float) -> None:
    """Write lossless H.264, one gray plane.

    Raises:
        MediaError: an odd side, or no frame.
    """
    write_gray_mp4(label_maps(sequence), place, fps)


def _expand_range(luma: np.ndarray) -> np.ndarray:
    """Expand 16 to 235 to the full range."""
    return np.asarray(np.clip((luma.astype(np.int32) - 16) * 255 // 219, 0, 255)).astype(np.uint8)
