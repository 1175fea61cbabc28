"""One number per pixel: 0 = nothing, n = object n - 1; or black and white. The form for PNG and gray video."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.codec import fill_runs
from mvideo_core.masks.io.gray_levels import WHITE
from mvideo_core.masks.measure import area

log = logging.getLogger(__name__)


def label_maps(sequence: MaskSequence, *, white: bool = True) -> Iterator[np.ndarray]:
    """A (H, W) uint8 map per frame: object n has the number n + 1; where objects overlap, the later one wins.

    Args:
        white: a single object is 255 instead of 1.
    """
    alone = 255 if white and sequence.n_objects == 1 else 0
    for frame in range(sequence.n_frames):
        pixels = np.zeros(sequence.height * sequence.width, np.uint8)
        for number in range(sequence.n_objects):
            mask = np.zeros(len(pixels), np.bool_)
            fill_runs(mask, sequence.mask_edges(frame, number))
            pixels[mask] = alone or number + 1
        yield pixels.reshape(sequence.height, sequence.width)


def check_maps(sequence: MaskSequence, name: str | Path) -> None:
    """Warn about what a label map would lose: the pixels in which objects overlap.

    Raises:
        MediaError: more objects than numbers.
    """
    if sequence.n_objects >= WHITE:
        raise MediaError(
            f"{name}: {sequence.n_objects} objects; label maps hold at most {WHITE - 1}: write .masks or .npz"
        )
    if sequence.n_objects < 2:
        return
    lost = 0
    for frame, shown in enumerate(label_maps(sequence)):
        full = sum(area(sequence.mask_edges(frame, number)) for number in range(sequence.n_objects))
        lost += full - int(np.count_nonzero(shown))
    if lost:
        log.warning(
            "%s: %d px of hidden parts of overlapping objects are not kept; .masks and .npz keep them", name, lost
        )
