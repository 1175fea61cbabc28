"""Frames of a reference video from any source: probed in a child, decoded by a guarded ffmpeg."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.media.damage import refuse_damage
from mvideo_core.media.ffmpeg import compile_argv, open_input
from mvideo_core.media.files import open_regular
from mvideo_core.media.graph import crop, frames_of, scale_frames
from mvideo_core.media.probe import MediaInfo, ProbeOptions, probe_open
from mvideo_core.processes import sandbox

LIMITS = sandbox.Limits(wall_s=4 * 3600, memory_bytes=6 << 30)
FLAGS = "area+accurate_rnd+full_chroma_int"


class Reference(NamedTuple):
    """A decode in progress; `frames` yields each (H, W, 3) uint8 RGB frame once and keeps only one in memory."""

    info: MediaInfo
    fps: float
    width: int
    height: int
    frames: Iterator[np.ndarray]


@contextmanager
def open_reference(
    path: str | Path, fps: float = 0.0, max_side_px: int = 0, size_hw: tuple[int, int] | None = None,
    fit: str = "crop", start_s: float = 0.0, length_s: float = 0.0,
) -> Iterator[Reference]:  # fmt: skip
    """A video as displayed (rotation and pixel aspect ratio applied), at our rate and size.

    Args:
        fps: frames per second, nearest in time; 0 = the video's own.
        max_side_px: maximum longer side, never enlarged; 0 = unchanged. Sides come out even.
        size_hw: exact size instead, fitted by `fit` ("crop", "letterbox", "stretch").
        start_s, length_s: part of the video; length 0 = to the end.

    Raises:
        MediaError: not a video, rejected, damaged in this part, or decoding stops early.
        ConfigError: `start_s` is past its end.
    """
    with open_regular(path) as fd:
        info = probe_open(fd, str(path), ProbeOptions())
        if start_s and start_s >= info.duration_s > 0:
            raise ConfigError(f"{path}: start_s {start_s:g} is past its end at {info.duration_s:g} s")
        height, width = size_hw or _shrink(info.height, info.width, max_side_px)
        rate = fps or info.fps
        graph = _graph(fd, info, (width, height), fit if size_hw else "stretch", rate, start_s, length_s)
        with sandbox.child(compile_argv(graph, threads=1), LIMITS, pass_fds=(fd,)) as running:
            frames = _frames(running, height, width, str(path), lambda: refuse_damage(path, info, start_s, length_s))
            yield Reference(info, rate, width, height, frames)


def _graph(
    fd: int, info: MediaInfo, size: tuple[int, int], fit: str, fps: float, start_s: float, length_s: float
) -> Any:
    part: dict[str, Any] = {"ss": start_s} if start_s else {}
    if length_s:
        part["t"] = length_s
    source = open_input(fd, threads=1, an=None, sn=None, dn=None, **part)
    # A part shorter than half a frame at the new rate would round to none: a video of one frame shows that one.
    length = min(length_s or math.inf, (info.duration_s or math.inf) - start_s)
    short = {"eof_action": "pass"} if length * fps < 1 else {}
    video = frames_of(source, info.picture).filter("fps", fps=fps, **short)
    width, height = size
    if fit == "letterbox":
        scale = min(width / info.width, height / info.height)
        inner = max(1, round(info.width * scale)), max(1, round(info.height * scale))
        video = scale_frames(video, *inner, info.picture, "rgb24", FLAGS)
        video = video.filter("pad", width, height, "(ow-iw)/2", "(oh-ih)/2")
    else:
        video = crop(video, f"{width}/{height}") if fit == "crop" else video
        video = scale_frames(video, width, height, info.picture, "rgb24", FLAGS)
    return video.output("pipe:1", format="rawvideo", fps_mode="passthrough")


def _frames(
    running: sandbox.Child, height: int, width: int, name: str, check: Callable[[], None]
) -> Iterator[np.ndarray]:
    """Frames as they come; `check` is called at the end if the decoder complained."""
    pipe, n_bytes, count = running.popen.stdout, height * width * 3, 0
    assert pipe is not None
    while len(raw := pipe.read(n_bytes)) == n_bytes:
        count += 1
        yield np.frombuffer(raw, np.uint8).reshape(height, width, 3)
    code, tail = running.finish()
    if code or raw:
        raise sandbox.death_error(f"{name}: after {count} frames", code, tail, running.timed_out, LIMITS)
    if not count:
        raise MediaError(f"{name}: no video frame could be decoded in the requested part")
    if tail.strip():
        check()


def _shrink(height: int, width: int, max_side_px: int) -> tuple[int, int]:
    """Even sides within the limit, aspect ratio kept."""
    scale = min(1.0, max_side_px / max(height, width)) if max_side_px else 1.0
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)
