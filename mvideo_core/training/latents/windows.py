"""Which training windows a clip gives (paper, sections 3.3 and 4.1).

A generated clip has n frames (n = 33 at 8 fps: 4 s). Its first frame is the last frame of the previous clip. A window
at frame t of a stored clip has four records:

| Record | Frames | Encoded | Shape at 480x720, n = 33 |
|---|---|---|---|
| `motion` | t - n + 1 .. t, resized to 256x384 | as one video | 9, 16, 32, 48 |
| `appearance` | t | alone | 1, 16, 60, 90 |
| `target` | t .. t + n - 1 | as one video | 9, 16, 60, 90 |
| `mask` | t .. t + n - 1, union of the kept objects, white on black | as one video | 9, 16, 60, 90 |

Windows start at t = n - 1, then every n - 1 frames while the target fits: one window for 65 frames (8 s), two for 97.
`stride_frames` and `max_windows` change this. A clip of n to 2n - 2 frames gives one window at t = 0 without history,
for training of first clips only. A shorter clip is `filtered` as `clip_too_short`. Clips of another size are resized;
another aspect ratio or frame rate is an error.
"""

from typing import NamedTuple


class Window(NamedTuple):
    """One training window of a clip.

    Attributes:
        target_start: frame of the clip at which the target starts; also the appearance frame.
        history: whether the clip has the frames before it.
    """

    target_start: int
    history: bool

    def target(self, clip_frames: int) -> range:
        """Frames of target and masks."""
        return range(self.target_start, self.target_start + clip_frames)

    def motion(self, clip_frames: int) -> range:
        """Frames of the motion condition, ending with the appearance frame; empty without history."""
        return range(
            self.target_start - clip_frames + 1 if self.history else self.target_start + 1, self.target_start + 1
        )

    def frames(self, clip_frames: int) -> range:
        """All frames that the window needs."""
        target = self.target(clip_frames)
        return range(min(self.motion(clip_frames), default=target.start), target.stop)


def window_id(key: str, target_start: int) -> str:
    """Name of a window of a clip, e.g. "clip7-w00032": unique in a dataset."""
    return f"{key}-w{target_start:05d}"


def windows_of(n_frames: int, clip_frames: int, stride_frames: int = 0, max_windows: int = 0) -> list[Window]:
    """Windows of a clip, in order.

    Args:
        n_frames: of the clip.
        clip_frames: n, frames of one generated clip.
        stride_frames: frames from one target to the next; 0 = n - 1, so that each target is the next one's history.
        max_windows: 0 = as many as fit.

    Returns:
        Windows with history at every stride; one without history, at frame 0, for a clip of n to 2n - 2 frames; none
        for a shorter clip.
    """
    history = clip_frames - 1
    starts = range(history, n_frames - clip_frames + 1, stride_frames or history)
    if not starts:
        return [Window(0, False)] if n_frames >= clip_frames else []
    return [Window(start, True) for start in (starts[:max_windows] if max_windows else starts)]
