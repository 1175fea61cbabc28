"""Compare a clip's mean colors with its source's, so that conversion errors are caught.

Source colors come from the small frames that cut detection reads anyway; clip colors from the clip's first frame,
decoded from the finished file, and from two of the raw frames that were encoded.
"""

from collections import deque

import numpy as np

from mvideo_core.base.records import VideoRow
from mvideo_core.curation.scenes.stream import ClipFrame, Geometry, SmallFrame
from mvideo_core.media.color import clip_bytes_to_rgb


class SourceColors:
    """Mean RGB of the part of the source that clips show, kept as long as a clip may need it."""

    def __init__(self, video: VideoRow, geometry: Geometry):
        self._rows, self._columns = shares(video, geometry)
        self._seen: deque[SmallFrame] = deque()

    def feed(self, frame: SmallFrame) -> None:
        """Take the next frame."""
        self._seen.append(frame)

    def forget(self, before_s: float) -> None:
        """Drop frames that left the screen before a time."""
        while len(self._seen) > 1 and self._seen[1].time_s <= before_s:
            self._seen.popleft()

    def at(self, time_s: float) -> np.ndarray:
        """Mean RGB of the frame on screen at this time, (3,) float, 0 to 255."""
        shown = self._seen[0].bgr
        for seen in self._seen:
            if seen.time_s > time_s + 1e-6:
                break
            shown = seen.bgr
        return np.asarray((self._columns @ np.tensordot(self._rows, shown, 1))[::-1])


def shares(video: VideoRow, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Weights (h,) and (w,) of the small frame's rows and columns: how much of each the clip shows; each sums to 1."""
    height, width = 1.0, 1.0
    if geometry.fit == "cover" and video.width and video.height:
        wanted, has = geometry.width / geometry.height, video.width / video.height
        width, height = min(1.0, wanted / has), min(1.0, has / wanted)
    return _middle(geometry.small_height, height), _middle(geometry.small_width, width)


def picture_part(video: VideoRow, geometry: Geometry) -> tuple[slice, slice]:
    """Rows and columns of a clip that hold picture: all of them, except for the bars of fit "contain"."""
    height, width = geometry.height, geometry.width
    if geometry.fit == "contain" and video.width and video.height:
        ratio = video.width / video.height
        inner_w = int(min(width, height * ratio) / 2) * 2
        inner_h = int(min(height, width / ratio) / 2) * 2
        top, left = (height - inner_h) // 2, (width - inner_w) // 2
        return slice(top, top + inner_h), slice(left, left + inner_w)
    return slice(0, height), slice(0, width)


def mean_of_frame(frame: ClipFrame, geometry: Geometry, part: tuple[slice, slice]) -> np.ndarray:
    """Mean RGB of a raw clip frame, (3,) float, decoded with the color tags its file will have."""
    return np.asarray(clip_bytes_to_rgb(frame.yuv420p, geometry.width, geometry.height)[part].mean((0, 1)))


def _middle(n: int, share: float) -> np.ndarray:
    """Weight of each of `n` cells if only the middle `share` counts; cells at the edge count partially."""
    edges = np.clip(np.arange(n + 1) / n, (1 - share) / 2, (1 + share) / 2)
    return np.diff(edges) / share
