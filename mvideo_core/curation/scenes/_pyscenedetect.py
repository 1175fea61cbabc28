"""PySceneDetect's detectors fed frame by frame, with the file's timestamps (so variable frame rates work)."""

from collections import deque
from fractions import Fraction
from typing import Any

import numpy as np

_TIME_BASE = Fraction(1, 1_000_000)


class FedDetector:
    """Adapter of one PySceneDetect detector.

    Args:
        detector: the library's detector, with its minimum shot length in seconds.
        lag_frames: delay of its reports, in frames.
        lag_s: additional delay, in seconds.
    """

    def __init__(self, detector: Any, lag_frames: int, lag_s: float):
        from scenedetect.common import FrameTimecode, Timecode

        self.settled_s = float("-inf")
        self._detector = detector
        self._lag_s = lag_s
        self._recent: deque[float] = deque(maxlen=lag_frames + 1)
        self._last: Any = None
        self._timecode = lambda time_s: FrameTimecode(
            Timecode(pts=round(time_s / _TIME_BASE), time_base=_TIME_BASE), fps=Fraction(30)
        )

    def feed(self, time_s: float, frame_bgr: np.ndarray) -> list[float]:
        """See `SceneDetector.feed`."""
        self._last = self._timecode(time_s)
        self._recent.append(time_s)
        cuts = [float(cut.seconds) for cut in self._detector.process_frame(self._last, frame_bgr)]
        if len(self._recent) == self._recent.maxlen:
            self.settled_s = self._recent[0] - self._lag_s
        return cuts

    def finish(self) -> list[float]:
        """See `SceneDetector.finish`."""
        if self._last is None:
            return []
        return [float(cut.seconds) for cut in self._detector.post_process(self._last)]
