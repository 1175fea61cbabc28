"""Which training windows a clip gives (paper, sections 3.3 and 4.1; docs/latents.md).

With clips of n frames that overlap by one frame, a window is 2n - 1 frames around its target's first frame t: frames
t - n + 1 .. t are the motion condition, frame t is the appearance condition, frames t .. t + n - 1 are the target.
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
