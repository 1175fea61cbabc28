"""The frames of a clip that filters look at: a fixed number, whatever the clip's length, from one decode."""

from collections.abc import Iterable, Iterator

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.media.camera import shrink

N_SAMPLES = 12


class ClipSamples:
    """Evenly spaced frames of a clip, each with the frame after it.

    Letters: N samples, H, W size of the clip, h, w size of the small frames, C color channels.

    Attributes:
        fps: frame rate of the clip.
        luma_NHW: uint8 luma of the samples at full size.
        small_Nhw, next_Nhw: uint8 luma of the samples, and of the frames after them, small.
    """

    def __init__(self, luma_NHW: np.ndarray, small_Nhw: np.ndarray, next_Nhw: np.ndarray, fps: float):
        self.luma_NHW, self.small_Nhw, self.next_Nhw, self.fps = luma_NHW, small_Nhw, next_Nhw, fps

    @classmethod
    def of(cls, frames: Iterable[np.ndarray], n_frames: int, fps: float, name: str = "clip") -> "ClipSamples":
        """Take the samples out of a stream of frames.

        Args:
            frames: (H, W, 3) uint8 RGB, at least two.
            n_frames: how many the stream has.

        Raises:
            MediaError: there are fewer than two frames.
        """
        first = sorted({round(k * max(n_frames - 2, 0) / (N_SAMPLES - 1)) for k in range(N_SAMPLES)})
        wanted = set(first) | {index + 1 for index in first}
        luma, small = {}, {}
        for index, gray in enumerate(_gray(frames)):
            if index in wanted:
                small[index] = shrink(gray)
            if index in first:
                luma[index] = gray
            if index > first[-1]:
                break
        found = [index for index in first if index + 1 in small]
        if not found:
            raise MediaError(f"{name}: fewer than two frames; filters compare neighbors")
        return cls(
            np.stack([luma[index] for index in found]),
            np.stack([small[index] for index in found]),
            np.stack([small[index + 1] for index in found]),
            fps,
        )


def _gray(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    import cv2

    for frame in frames:
        yield cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
