"""One sandboxed ffmpeg process per video: decodes the untrusted file once and returns two raw streams in one pipe.

Stream 0: every frame, small, BGR, with its own PTS, for finding cuts. Stream 1: clip frames, scaled, cropped, at the
clip rate. They are interleaved by time in a NUT container, so one reader is enough and neither stream can block the
other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import Picture
from mvideo_core.base.stopping import stop_between
from mvideo_core.curation.filters.bars import Bars
from mvideo_core.curation.scenes.crop_bars import crop_frames
from mvideo_core.media.ffmpeg import compile_argv, open_input
from mvideo_core.media.graph import crop, frames_of, scale_frames
from mvideo_core.processes import sandbox

_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


class SmallFrame(NamedTuple):
    """A frame for detection: PTS in seconds from the start of the file's earliest stream, (h, w, 3) uint8 BGR."""

    time_s: float
    bgr: np.ndarray


class ClipFrame(NamedTuple):
    """The frame on screen at number / fps: raw planar 4:2:0 bytes, bt709, limited range."""

    number: int
    yuv420p: memoryview


class Geometry(NamedTuple):
    """Sizes and rates of the two streams; `fit` is "cover" (crop), "contain" (bars) or "stretch".

    `bars` of the source are cropped first.
    """

    small_width: int
    small_height: int
    width: int
    height: int
    fps: float
    fit: str
    bars: Bars = Bars()


class VideoStream:
    """The two streams of one running decode. Iterate once, then call `close_checked` for its outcome."""

    def __init__(self, running: sandbox.Child, what: str, limits: sandbox.Limits, geometry: Geometry):
        self._child, self._what, self._limits, self._geometry = running, what, limits, geometry

    def __iter__(self) -> Iterator[SmallFrame | ClipFrame]:
        import av

        pipe = self._child.popen.stdout
        assert pipe is not None
        _enlarge(pipe.fileno())
        options = {"protocol_whitelist": "pipe", "probesize": "32", "analyzeduration": "0"}
        try:
            with av.open(f"pipe:{pipe.fileno()}", format="nut", options=options) as container:
                for packet in stop_between(container.demux()):
                    if packet.size:
                        yield self._frame(packet)
        except (av.error.FFmpegError, EOFError) as error:
            code, tail = self._child.finish()
            if code == 0 and not self._child.timed_out:
                raise MediaError(f"{self._what}: no video frame could be decoded ({error})") from None
            raise sandbox.death_error(self._what, code, tail, self._child.timed_out, self._limits) from None

    def _frame(self, packet: Any) -> SmallFrame | ClipFrame:
        if packet.stream_index == 0:
            shape = (self._geometry.small_height, self._geometry.small_width, 3)
            if packet.size != shape[0] * shape[1] * 3:  # the decoder was killed while it wrote this frame
                code, tail = self._child.finish()
                raise sandbox.death_error(self._what, code, tail, self._child.timed_out, self._limits)
            return SmallFrame(_seconds(packet), np.frombuffer(packet, np.uint8).reshape(shape))
        return ClipFrame(round(_seconds(packet) * self._geometry.fps), memoryview(packet))

    def close_checked(self) -> int:
        """Wait for the decoder. Returns: number of errors it reported.

        Raises:
            MediaError: it failed, was killed or timed out.
        """
        code, tail = self._child.finish()
        if code:
            raise sandbox.death_error(self._what, code, tail, self._child.timed_out, self._limits)
        return len([line for line in tail.splitlines() if line.strip()])


@contextmanager
def open_decode(
    fd: int,
    what: str,
    geometry: Geometry,
    limits: sandbox.Limits,
    *,
    picture: Picture,
    threads: int,
    max_pixels: int,
) -> Iterator[VideoStream]:
    """Start decoding an open file; the process is ended when the block exits.

    Args:
        fd: descriptor of the checked file.
        what: name for messages.
        picture: which stream to decode and how to interpret its samples.
        threads: decoder threads; 0 = one per core.
        max_pixels: frames larger than this are not decoded.
    """
    argv = compile_argv(_graph(fd, geometry, picture, threads, max_pixels), threads=1)
    with sandbox.child(argv, limits, pass_fds=(fd,)) as running:
        yield VideoStream(running, what, limits, geometry)


def _graph(fd: int, geometry: Geometry, picture: Picture, threads: int, max_pixels: int) -> Any:
    import ffmpeg

    source = open_input(fd, threads=threads, max_pixels=max_pixels, an=None, sn=None, dn=None)
    both = crop_frames(frames_of(source, picture), geometry.bars).filter_multi_output("split")
    small = scale_frames(both[0], geometry.small_width, geometry.small_height, picture, "bgr24", "area")
    clip = both[1].filter("fps", fps=geometry.fps, round="up")
    return ffmpeg.output(
        small,
        _fit(clip, geometry, picture).filter("setsar", 1),
        "pipe:1",
        format="nut",
        vcodec="rawvideo",
        fps_mode="passthrough",
        enc_time_base="1:1000000",
        flush_packets=0,
    )


def _seconds(packet: Any) -> float:
    base = packet.time_base
    return float(packet.pts * base.numerator / base.denominator)  # as through a Fraction


def _fit(video: Any, geometry: Geometry, picture: Picture) -> Any:
    """Scale to the clip size using the display aspect ratio (sample aspect ratio included)."""
    width, height = geometry.width, geometry.height
    if geometry.fit == "contain":
        inner = (f"trunc(min({width},{height}*dar)/2)*2", f"trunc(min({height},{width}/dar)/2)*2")
        return scale_frames(video, *inner, picture, "yuv420p").filter("pad", width, height, "(ow-iw)/2", "(oh-ih)/2")
    if geometry.fit == "cover":
        video = crop(video, f"{width}/{height}")
    return scale_frames(video, width, height, picture, "yuv420p")


def _enlarge(fd: int) -> None:
    """Enlarge the pipe, for fewer context switches between the two processes; the default size works too."""
    import fcntl

    try:
        fcntl.fcntl(fd, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return
