"""Black bars that a whole video has, found in a first decode before it is cut, so that clips come without them.

Keyframes alone would be cheaper, but a shot without bars may have none.
"""

from typing import Any

import numpy as np

from mvideo_core.base.records import VideoRow
from mvideo_core.curation.filters.bars import Bars, find_bars
from mvideo_core.media.camera import SMALL_PX
from mvideo_core.media.ffmpeg import compile_argv, open_input
from mvideo_core.media.graph import frames_of, scale_frames
from mvideo_core.processes import sandbox

_LOOK_FPS = 4
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def bars_of_video(fd: int, what: str, video: VideoRow, limits: sandbox.Limits, max_pixels: int) -> Bars:
    """Bars that the whole video has, one line wider than measured, since their edges are soft; none if some frame
    has picture there.

    Args:
        fd: descriptor of the checked file.
        what: name for messages.
        limits: of the decoder.
        max_pixels: frames larger than this are not decoded.

    Raises:
        MediaError: the file cannot be decoded.
    """
    scale = min(1.0, SMALL_PX / max(video.width, video.height, 1))
    width, height = max(16, round(video.width * scale)), max(16, round(video.height * scale))
    brightest = np.zeros((height, width), np.float32)
    argv = compile_argv(_small_frames(fd, video, width, height, max_pixels), threads=1)
    with sandbox.child(argv, limits, pass_fds=(fd,)) as running:
        pipe = running.popen.stdout
        assert pipe is not None
        while len(content := pipe.read(width * height * 3)) == width * height * 3:
            np.maximum(brightest, np.frombuffer(content, np.uint8).reshape(height, width, 3) @ _LUMA, out=brightest)
        code, tail = running.finish()
    if code:
        raise sandbox.death_error(what, code, tail, running.timed_out, limits)
    found = find_bars(brightest.astype(np.uint8))
    lines = (height, height, width, width)
    return Bars(*(bar + 1 / n if bar else 0.0 for bar, n in zip(found, lines, strict=True)))


def without_bars(video: VideoRow, bars: Bars) -> VideoRow:
    """The row of the video as if its picture ended at the bars."""
    width, height = video.width * (1 - bars.left - bars.right), video.height * (1 - bars.top - bars.bottom)
    return video.model_copy(update={"width": round(width), "height": round(height)})


def crop_frames(frames: Any, bars: Bars) -> Any:
    """The part of an ffmpeg node's frames inside the bars, in whole chroma samples (see `graph.crop`)."""
    if not bars.area:
        return frames
    size = f"iw*{1 - bars.left - bars.right:.6f}", f"ih*{1 - bars.top - bars.bottom:.6f}"
    return frames.filter("crop", *size, f"iw*{bars.left:.6f}", f"ih*{bars.top:.6f}")


def _small_frames(fd: int, video: VideoRow, width: int, height: int, max_pixels: int) -> Any:
    import ffmpeg

    source = open_input(fd, threads=0, max_pixels=max_pixels, an=None, sn=None, dn=None)
    some = frames_of(source, video.picture).filter("fps", fps=_LOOK_FPS)
    small = scale_frames(some, width, height, video.picture, "rgb24", "area")
    return ffmpeg.output(small, "pipe:1", format="rawvideo", fps_mode="passthrough")
