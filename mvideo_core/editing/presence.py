"""In how many frames an object is visible, before and after a change: losses are logged; it is an error if nothing is
left.
"""

import logging
from collections.abc import Sequence

import numpy as np

from mvideo_core.base.errors import ConfigError
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.measure import areas

log = logging.getLogger(__name__)

INVERTED_FRAC = 0.9
"""An object that covers at least this fraction of the picture on average is probably the background."""


def find_visible(sequence: MaskSequence) -> np.ndarray:
    """Whether each mask has a pixel, bool (T, N)."""
    shape = sequence.n_frames, sequence.n_objects
    return np.asarray(np.diff(sequence.offsets) > 0).reshape(shape)


def check_change(
    before_N: np.ndarray, ever_N: np.ndarray, after: MaskSequence, labels: Sequence[str], what: str
) -> None:  # fmt: skip
    """Warn about objects that a change took out of the picture; log in how many frames.

    Args:
        before_N: frames in which each object would be visible without the change, in the time range now shown.
        ever_N: frames of the input in which it is visible.
        after: the result, with the same N objects.
        what: "after the edits" and the like, for the message.

    Raises:
        ConfigError: no object is left in any frame.
    """
    after_N, n_frames = find_visible(after).sum(axis=0), after.n_frames
    if not after_N.any():
        if not np.any(ever_N):
            raise ConfigError(f"no object is in any frame of the masks, so there is nothing to process {what}")
        names = ", ".join(_name(obj, labels) for obj in range(after.n_objects))
        raise ConfigError(f"{names}: in 0 of {n_frames} frames {what}; nothing is left to write: use smaller values")
    for obj, (n_before, n_ever, n_after) in enumerate(zip(before_N, ever_N, after_N, strict=True)):
        if n_ever and (not n_after or 2 * n_after < n_before):
            log.warning("%s is in %d of %d frames %s", _name(obj, labels), n_after, n_frames, what)
        elif n_after < n_before:
            log.info("%s is in %d of %d frames %s (before: %d)", _name(obj, labels), n_after, n_frames, what, n_before)


def check_read(sequence: MaskSequence, labels: Sequence[str], name: str) -> None:
    """Warn about masks that look wrong: empty in all frames, or covering nearly the whole picture."""
    if not sequence.n_frames or not sequence.n_objects:
        return
    if not len(sequence.edges):
        log.warning("%s: the masks are empty in all of %d frames", name, sequence.n_frames)
    share_N = areas(sequence).mean(axis=0) / (sequence.height * sequence.width)
    for obj in np.flatnonzero(share_N >= INVERTED_FRAC).tolist():
        remedy = "--as inverted swaps inside and outside" if len(share_N) == 1 else "the edit `keep` can drop it"
        log.warning(
            "%s: %s covers %.0f %% of the picture on average: inverted, or the background? %s",
            name, _name(obj, labels), 100 * share_N[obj], remedy,
        )  # fmt: skip


def _name(obj: int, labels: Sequence[str]) -> str:
    return f"object {obj} ({labels[obj]})" if labels and labels[obj] else f"object {obj}"
