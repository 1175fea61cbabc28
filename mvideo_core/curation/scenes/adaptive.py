"""AdaptiveDetector: a frame's change relative to the local average; PySceneDetect's best on most benchmarks.

A cut between scenes with similar colors changes little and stays below the library's minimum. Such a small change
still counts here if the edges of the two frames have nothing in common, which motion and flicker do not cause.
"""

from collections import deque
from typing import ClassVar

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.scenes import SCENE_DETECTORS
from mvideo_core.curation.scenes._pyscenedetect import FedDetector

_EDGE_SIZE = (80, 45)


class AdaptiveOptions(Options):
    """`threshold`, `min_content_val` and `window_frames` are PySceneDetect 0.7.2's defaults."""

    threshold: float = Field(
        default=3.0, gt=0, description="ratio of a change to the neighbors' average; higher = fewer cuts"
    )
    min_content_val: float = Field(default=15.0, ge=0, description="minimum change, 0 to 255; higher = fewer cuts")
    min_faint_val: float = Field(
        default=5.0, ge=0, description="minimum change where edges differ; higher = fewer cuts"
    )
    max_edge_correlation: float = Field(
        default=0.35,
        ge=-1,
        le=1,
        description="frames whose edges correlate more than this belong to one scene; lower = fewer cuts",
    )
    window_frames: int = Field(default=2, ge=1, description="frames averaged on each side")
    min_scene_s: float = Field(default=0.3, ge=0, description="minimum seconds between cuts; closer ones are dropped")


@SCENE_DETECTORS.register("adaptive")
class Adaptive(FedDetector):
    """Default detector."""

    options_type: ClassVar[type[Options]] = AdaptiveOptions

    def __init__(self, options: AdaptiveOptions):
        from scenedetect.detectors import AdaptiveDetector

        detector = AdaptiveDetector(
            adaptive_threshold=options.threshold,
            min_scene_len=options.min_scene_s,
            window_width=options.window_frames,
            min_content_val=min(options.min_content_val, options.min_faint_val),
        )
        super().__init__(detector, lag_frames=options.window_frames, lag_s=0.0)
        self._options = options
        self._frames: deque[np.ndarray] = deque(maxlen=options.window_frames + 2)

    def feed(self, time_s: float, frame_bgr: np.ndarray) -> list[float]:
        """See `SceneDetector.feed`."""
        self._frames.append(frame_bgr)
        cuts = super().feed(time_s, frame_bgr)
        if cuts and not self._is_cut(self._frames[0], self._frames[1]):
            return []
        return cuts

    def _is_cut(self, before: np.ndarray, after: np.ndarray) -> bool:
        if content_change(to_hsv(before), to_hsv(after)) >= self._options.min_content_val:
            return True
        return edge_correlation(before, after) <= self._options.max_edge_correlation


def to_hsv(frame_bgr: np.ndarray) -> np.ndarray:
    """Hue, saturation and value, uint8."""
    import cv2

    return cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2HSV)


def content_change(before_hsv: np.ndarray, after_hsv: np.ndarray) -> float:
    """PySceneDetect's score: mean absolute change of hue, saturation and value, 0 to 255."""
    import cv2

    return float(cv2.absdiff(before_hsv, after_hsv).mean())


def edge_correlation(before: np.ndarray, after: np.ndarray) -> float:
    """Cosine between the luma gradients of two frames: 1 = same edges, 0 = nothing in common (or no edges)."""
    first, second = _gradient(before), _gradient(after)
    norms = float((first * first).sum() * (second * second).sum())
    return float((first * second).sum()) / (norms**0.5 + 1e-3)


def _gradient(frame_bgr: np.ndarray) -> np.ndarray:
    import cv2

    small = cv2.resize(frame_bgr, _EDGE_SIZE, interpolation=cv2.INTER_AREA)
    gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return np.stack([gray[1:, 1:] - gray[1:, :-1], gray[1:, 1:] - gray[:-1, 1:]])
