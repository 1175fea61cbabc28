"""Frames to files. The same frames and options give the same bytes: pinned threads, no timestamps, no version tags."""

import os
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np

from mvideo_core.base.disk import new_file
from mvideo_core.base.errors import MediaError
from mvideo_core.base.stopping import stop_between
from mvideo_core.media.color import FULL, from_rgb, tag
from mvideo_core.media.ffmpeg import x264_params


def write_mp4(
    frames: Iterable[np.ndarray],
    path: str | os.PathLike[str],
    fps: float | Fraction,
    crf: int = 18,
    preset: str = "veryfast",
    threads: int = 1,
) -> int:
    """Write H.264 4:2:0 MP4, bt709 limited range and tagged so, with the index at the front, playable in browsers.

    Args:
        frames: (H, W, 3) uint8 RGB, all the same size, both sides even.
        path: file to write atomically; an existing one is replaced, folders are created.
        fps: frames per second.
        crf: x264 quality, 0 (best) to 51.
        preset: x264 speed preset.
        threads: encoder threads; the bytes depend on it, so it is fixed rather than left to the machine.

    Returns:
        Number of frames written.

    Raises:
        MediaError: no frame, an odd side, or frames of different sizes.
        StoreError: it cannot be written; nothing is left behind.
    """
    options = {"crf": str(crf), "preset": preset, **x264_params()}
    return _write(frames, path, fps, "libx264", "yuv420p", options, threads)


def write_gray_mp4(frames: Iterable[np.ndarray], path: str | os.PathLike[str], fps: float | Fraction) -> int:
    """Lossless H.264 of (H, W) uint8 planes, e.g. label maps, for readers that only know videos. Returns frame count.

    Raises:
        MediaError, StoreError: as `write_mp4`.
    """
    return _write(frames, path, fps, "libx264", "gray", {"qp": "0", "preset": "veryfast", **x264_params()}, 1)


def write_png(path: str | os.PathLike[str], frame: np.ndarray) -> None:
    """Write a PNG of a (H, W, 3) RGB or (H, W) gray uint8 frame, without metadata, atomically.

    Raises:
        StoreError: it cannot be written.
    """
    from PIL import Image

    with new_file(path) as part:
        Image.fromarray(np.ascontiguousarray(frame)).save(part, format="PNG", compress_level=6)


def _write(
    frames: Iterable[np.ndarray],
    path: str | os.PathLike[str],
    fps: float | Fraction,
    codec: str,
    pix_fmt: str,
    options: dict[str, str],
    threads: int,
) -> int:
    import av

    rate = Fraction(fps).limit_denominator(1_001_000)
    muxing = {"movflags": "+faststart", "fflags": "+bitexact"}
    count, shape = 0, None
    stream: Any = None
    with new_file(path) as part, av.open(str(part), "w", format="mp4", options=muxing) as container:
        for frame in stop_between(frames):
            if shape is None:
                shape = frame.shape
                _check(path, shape)
                stream = container.add_stream(codec, rate=rate, options=options)
                stream.width, stream.height, stream.pix_fmt = shape[1], shape[0], pix_fmt
                stream.codec_context.thread_count = threads
                if pix_fmt == "gray":
                    stream.codec_context.color_range = FULL
                else:
                    tag(stream.codec_context)
                stream.codec_context.flags |= av.codec.context.Flags.bitexact
            if frame.shape != shape:
                raise MediaError(f"{path}: frame {count} is {frame.shape}, the first was {shape}")
            if frame.ndim == 2:
                source = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray")
            else:
                source = from_rgb(frame)
            source.pts = count
            container.mux(stream.encode(source))
            count += 1
        if not count:
            raise MediaError(f"{path}: no frame to write")
        container.mux(stream.encode())
    return count


def _check(path: str | os.PathLike[str], shape: tuple[int, ...]) -> None:
    if len(shape) not in (2, 3) or shape[0] % 2 or shape[1] % 2:
        raise MediaError(f"{path}: frames are {shape}; height and width must be even for 4:2:0 video")
