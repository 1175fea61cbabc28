"""Frames that have nothing in common with the frame before: cuts that the detector missed, or flashes."""

import bisect

import numpy as np

from mvideo_core.curation.scenes.adaptive import content_change, edge_correlation, to_hsv
from mvideo_core.curation.scenes.stream import SmallFrame

_MIN_CONTENT = 27.0
"""PySceneDetect's threshold of its content detector."""
_MAX_EDGES = 0.15
"""Edges of one scene correlate more than this between neighbors, even in fast pans."""


class Jumps:
    """Times of jumps in a stream of small frames, as far back as clips may still need them."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._last: tuple[SmallFrame, np.ndarray] | None = None

    def feed(self, frame: SmallFrame) -> None:
        """Take the next frame."""
        before, self._last = self._last, (frame, to_hsv(frame.bgr))
        if before is None or content_change(before[1], self._last[1]) < _MIN_CONTENT:
            return
        if edge_correlation(before[0].bgr, frame.bgr) <= _MAX_EDGES:
            self._times_s.append(frame.time_s)

    def count(self, start_s: float, end_s: float) -> int:
        """Jumps strictly inside a span, seconds."""
        return max(
            0, bisect.bisect_left(self._times_s, end_s - 1e-6) - bisect.bisect_right(self._times_s, start_s + 1e-6)
        )

    def forget(self, before_s: float) -> None:
        """Drop earlier times."""
        del self._times_s[: bisect.bisect_left(self._times_s, before_s)]
