"""Search a stream of frames for objects: which frames the detector sees, and what it finds there."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from mvideo_core.perception.detection.base import Detections

When = Literal["first", "keyframes", "adaptive"]
THUMB_PX = 32
CHANGED_LEVELS = 24
"""Gray levels of 255 by which a pixel of the small picture differs after a change."""


class Searched(NamedTuple):
    """One frame of a search; `seen` is None if the detector skipped it."""

    number: int
    frame: np.ndarray
    seen: Detections | None


class FrameChoice:
    """Decides frame by frame, in order, whether a frame is searched. The first one always is.

    Args:
        when: "first": no other frame. "keyframes": every `step_frames`. "adaptive": every `step_frames` if the picture
            changed since the last searched frame, at the latest after `max_step_frames`.
        min_change: share of the pixels of a small picture that differ after a change.
    """

    def __init__(self, when: When, step_frames: int = 1, max_step_frames: int = 0, min_change: float = 0.0):
        self.when, self.step, self.max_step, self.min_change = when, max(1, step_frames), max_step_frames, min_change
        self._last = 0
        self._thumb = np.zeros(0)

    def wants(self, number: int, frame: np.ndarray) -> bool:
        """Whether to search this frame."""
        if number == 0:
            self._note(number, frame)
            return True
        if self.when == "first" or number % self.step:
            return False
        if self.when == "keyframes":
            return True
        if number - self._last < self.max_step and self._change(frame) < self.min_change:
            return False
        self._note(number, frame)
        return True

    def _note(self, number: int, frame: np.ndarray) -> None:
        self._last = number
        if self.when == "adaptive":
            self._thumb = _thumb(frame)

    def _change(self, frame: np.ndarray) -> float:
        return float((np.abs(_thumb(frame) - self._thumb) >= CHANGED_LEVELS).mean())


def search(
    frames: Iterable[np.ndarray], choice: FrameChoice, detector: Any, phrases: Sequence[str], per_pass: int = 1
) -> Iterator[Searched]:
    """Every frame, in order, with the raw candidates of those that are searched.

    Args:
        frames: RGB uint8 (H, W, 3); those of a pass, and the ones between them, are held at a time.
        phrases: what to look for, read again for each pass: a caller may shorten its list on the way.
        per_pass: frames that the detector sees together.
    """
    held: list[tuple[int, np.ndarray, bool]] = []
    for number, frame in enumerate(frames):
        held.append((number, frame, choice.wants(number, frame)))
        wanted = sum(one[2] for one in held)
        if wanted in (0, per_pass):
            yield from _see(held, detector, phrases)
            held.clear()
    yield from _see(held, detector, phrases)


def _see(
    held: Sequence[tuple[int, np.ndarray, bool]], detector: Any, phrases: Sequence[str]
) -> Iterator[Searched]:  # fmt: skip
    wanted = [frame for _, frame, is_wanted in held if is_wanted]
    found = iter(detector.detect(wanted, list(phrases)) if wanted else ())
    for number, frame, is_wanted in held:
        yield Searched(number, frame, next(found) if is_wanted else None)


def _thumb(frame: np.ndarray) -> np.ndarray:
    """The frame's mean green in 32 x 32 cells, float32."""
    import cv2

    return cv2.resize(frame[..., 1], (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
