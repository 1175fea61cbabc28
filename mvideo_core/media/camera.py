"""Motion of the camera between frames, from tracked corners: shift, turn and zoom."""

import numpy as np

SMALL_PX = 256
"""Longer side of the small frames in which motion is measured."""
_MIN_POINTS = 12
_GROWN_PX = 9
"""Things are grown by half of this, so that no corner of their outline counts as background."""


def shrink(gray: np.ndarray) -> np.ndarray:
    """A gray picture with a longer side of `SMALL_PX`; smaller ones keep their size."""
    import cv2

    height, width = gray.shape
    scale = SMALL_PX / max(height, width)
    if scale >= 1:
        return gray
    return cv2.resize(gray, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)


def camera_of(before: np.ndarray, after: np.ndarray, things: np.ndarray | None = None) -> np.ndarray:
    """Shift, turn and zoom between two gray frames, (2, 3) as for cv2.warpAffine; identity if unclear.

    Args:
        before, after: (H, W) uint8.
        things: bool (H, W), what moves by itself in `before` and is to be left out; None = not known.
    """
    import cv2

    still = np.eye(2, 3)
    background = None if things is None else (~things).astype(np.uint8)
    points = cv2.goodFeaturesToTrack(before, 300, 0.01, 5, mask=background)
    if points is None or len(points) < _MIN_POINTS:
        return still
    guess = np.zeros_like(points)  # not used without the flag for it, but the stubs want one
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, guess, winSize=(15, 15), maxLevel=3)
    seen = found.ravel() == 1
    if seen.sum() < _MIN_POINTS:
        return still
    cv2.setRNGSeed(0)
    camera, _ = cv2.estimateAffinePartial2D(
        points[seen], moved[seen], method=cv2.RANSAC, ransacReprojThreshold=0.5, maxIters=500
    )
    return still if camera is None else np.asarray(camera)


class CameraPath:
    """The camera's way through a clip, frame by frame; holds one small frame."""

    def __init__(self) -> None:
        self._to_first: list[np.ndarray] = []
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, rgb: np.ndarray, things: np.ndarray) -> None:
        """Take the next frame.

        Args:
            rgb: uint8 (H, W, 3).
            things: bool (H, W), pixels of everything that may move by itself.
        """
        import cv2

        small = shrink(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
        apart = cv2.resize(things.astype(np.uint8), small.shape[::-1], interpolation=cv2.INTER_NEAREST)
        apart = cv2.dilate(apart, np.ones((_GROWN_PX, _GROWN_PX), np.uint8))
        if self._before is None:
            self._to_first.append(np.eye(3))
        else:
            step = np.vstack([camera_of(self._before[0], small, self._before[1]), [0, 0, 1]])
            step[:2, 2] *= rgb.shape[1] / small.shape[1]
            self._to_first.append(self._to_first[-1] @ np.linalg.inv(step))
        self._before = small, apart > 0

    def to_first_T23(self) -> np.ndarray:
        """Per frame, the (2, 3) matrix that takes a point of its background to the point's place in the first frame."""
        return np.array([one[:2] for one in self._to_first]).reshape(-1, 2, 3)
