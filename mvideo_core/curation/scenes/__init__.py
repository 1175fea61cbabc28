"""Cut a video into clips: find shot changes, choose clips inside shots, write them, all in one decode.

A detector is one file of this package: a class registered in `SCENE_DETECTORS` that implements `SceneDetector` and is
built from its options record (class attribute `options_type`).
"""

from typing import ClassVar, Protocol

import numpy as np

from mvideo_core.base.options import Options
from mvideo_core.base.registry import Registry


class SceneDetector(Protocol):
    """Finds hard cuts in a stream of small frames.

    Attributes:
        settled_s: cuts before this time are final (seconds, -inf before the first frame).
    """

    options_type: ClassVar[type[Options]]
    settled_s: float

    def feed(self, time_s: float, frame_bgr: np.ndarray) -> list[float]:
        """Take the next frame, (h, w, 3) uint8 BGR, and its PTS in seconds; return the times of newly found cuts.

        A cut's time is the PTS of the first frame of the new shot.
        """
        ...

    def finish(self) -> list[float]:
        """Return the cuts found at the end of the video."""
        ...


SCENE_DETECTORS: Registry[type[SceneDetector]] = Registry("scene detector", "mvideo_core.curation.scenes")
