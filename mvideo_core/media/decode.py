"""Frames of clips that this project wrote itself. Untrusted files go only through `probe` and the cut stage."""

import contextlib
import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.base.stopping import stop_between
from mvideo_core.media.color import ALPHA, GRAY, luma, to_rgb
from mvideo_core.media.ffmpeg import FORMATS, file_url

Source = str | os.PathLike[str] | IO[bytes]

GROWN_FRAMES = 64
"""`read_clip` makes room for this many more frames at a time, in place: its peak is the clip and little more."""


def read_frames(source: Source) -> Iterator[np.ndarray]:
    """Every frame in display order, (H, W, 3) uint8 RGB, streamed: memory does not grow with the clip.

    Args:
        source: path or seekable binary file.

    Raises:
        MediaError: not a video we can open, or decoding stopped early.
    """
    with _open_stream(source) as (container, stream):
        for frame in stop_between(container.decode(stream)):
            yield to_rgb(frame)


def read_ahead(frames: Iterator[np.ndarray], n_frames: int = 8) -> Iterator[np.ndarray]:
    """The same frames; a thread decodes the next ones while the caller works on this one.

    Args:
        n_frames: at most this many are decoded and not yet taken.

    Raises:
        What `frames` raises, after the frames before it.
    """
    ready: queue.Queue[tuple[np.ndarray | None, BaseException | None]] = queue.Queue(n_frames)
    over = threading.Event()

    def decode() -> None:
        failure: BaseException | None = None
        try:
            for frame in frames:
                ready.put((frame, None))
                if over.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - also `Stopped`: raised again by the caller's thread
            failure = error
        ready.put((None, failure))

    thread = threading.Thread(target=decode, name="frames-ahead", daemon=True)
    thread.start()
    try:
        while (taken := ready.get())[0] is not None:
            yield taken[0]
        if taken[1] is not None:
            raise taken[1]
    finally:
        over.set()
        while thread.is_alive():  # it may be waiting for room
            with contextlib.suppress(queue.Empty):
                ready.get(timeout=0.01)


def read_gray(source: Source) -> Iterator[np.ndarray]:
    """Luma of every frame, (H, W) uint8 at the file's own range: exact for files of `encode.write_gray_mp4`.

    Deeper samples lose their low bits; for RGB the luma is computed (bt601, full range).

    Raises:
        MediaError: as `read_frames`.
    """
    with _open_stream(source) as (container, stream):
        for frame in stop_between(container.decode(stream)):
            yield luma(frame)


class Matte(NamedTuple):
    """A frame of a video that may be masks.

    Attributes:
        luma: (H, W) uint8 at the file's own range.
        rgb: (H, W, 3) uint8; None if the pixel format has no color.
        alpha: (H, W) uint8; None if it has no alpha channel.
    """

    luma: np.ndarray
    rgb: np.ndarray | None
    alpha: np.ndarray | None


def read_mattes(source: Source) -> Iterator[Matte]:
    """Luma, color and alpha of every frame; luma as in `read_gray`.

    Raises:
        MediaError: as `read_frames`.
    """
    with _open_stream(source) as (container, stream):
        for frame in stop_between(container.decode(stream)):
            name = frame.format.name
            alpha = None
            if name.startswith(ALPHA):
                alpha = np.ascontiguousarray(frame.to_ndarray(format="rgba")[..., 3])
            rgb = None if name.startswith((*GRAY, "mono")) else to_rgb(frame)
            yield Matte(luma(frame), rgb, alpha)


def read_exr(path: str | os.PathLike[str]) -> np.ndarray:
    """An OpenEXR picture as stored, float32 (H, W), or (H, W, 3) RGB, or (H, W, 4) with alpha.

    Raises:
        MediaError: it does not decode.
    """
    import av

    try:
        options = {"format_whitelist": "exr_pipe", "protocol_whitelist": "file"}
        with av.open(file_url(path), format="exr_pipe", options=options, metadata_errors="replace") as container:
            for frame in container.decode(video=0):
                return np.asarray(frame.to_ndarray()).astype(np.float32)
    except (av.error.FFmpegError, EOFError, ValueError) as error:
        raise MediaError(f"{_name(path)}: not a readable EXR: {error}") from None
    raise MediaError(f"{_name(path)}: not a readable EXR: no picture inside")


def read_clip(source: Source, max_bytes: int | None = None) -> np.ndarray:
    """All frames in one array, (T, H, W, 3) uint8 RGB.

    Args:
        max_bytes: limit over all frames; a header may promise fewer frames than there are.

    Raises:
        MediaError: as `read_frames`, no frame at all, frames of different sizes, or more bytes than allowed.
    """
    clip, n_frames = np.empty((0, 0, 0, 3), np.uint8), 0
    for frame in read_frames(source):
        if n_frames == 0:
            clip = np.empty((GROWN_FRAMES, *frame.shape), np.uint8)
        elif frame.shape != clip.shape[1:]:
            height, width = clip.shape[1:3]
            raise MediaError(
                f"{_name(source)}: starts with {width}x{height} px and changes to {frame.shape[1]}x{frame.shape[0]}; "
                "encode it at one size"
            )
        if max_bytes is not None and (n_frames + 1) * frame.nbytes > max_bytes:
            raise MediaError(f"{_name(source)}: over {max_bytes} bytes decoded, more than its header says; refused")
        if n_frames == len(clip):
            clip.resize((n_frames + GROWN_FRAMES, *frame.shape), refcheck=False)
        clip[n_frames] = frame
        n_frames += 1
    if n_frames == 0:
        raise MediaError(f"{_name(source)}: no video frame inside")
    clip.resize((n_frames, *clip.shape[1:]), refcheck=False)
    return clip


def first_frame(source: Source) -> np.ndarray:
    """The first frame, (H, W, 3) uint8 RGB.

    Raises:
        MediaError: not a video, or no frame.
    """
    for frame in read_frames(source):
        return frame
    raise MediaError(f"{_name(source)}: no video frame inside")


def sample_frames(source: Source, n: int) -> np.ndarray:
    """`n` frames spread evenly from the first to the last, (n, H, W, 3) uint8 RGB; a short clip repeats frames.

    Frame k has number round(k * (T - 1) / (n - 1)); n = 1 gives the middle frame.

    Raises:
        MediaError: not a video, or no frame.
    """
    if n < 1:
        raise ValueError(f"n = {n}; at least 1")
    with _open_stream(source) as (container, stream):
        total = stream.frames or sum(1 for _ in container.demux(stream)) - 1
        wanted = frame_numbers(total, n)
        container.seek(0)
        keep = {}
        for index, frame in enumerate(stop_between(container.decode(stream))):
            if index in wanted:
                keep[index] = to_rgb(frame)
            if index == wanted[-1]:
                break
    if not keep:
        raise MediaError(f"{_name(source)}: no video frame inside")
    last = keep[max(keep)]
    return np.stack([keep.get(index, last) for index in wanted])


def count_frames(source: Source) -> int:
    """Number of frames that actually decode.

    Raises:
        MediaError: not a video, or decoding stopped early.
    """
    with _open_stream(source) as (container, stream):
        return sum(1 for _ in container.decode(stream))


def frame_numbers(total: int, n: int) -> list[int]:
    """Numbers of the frames that `sample_frames` takes from a clip with `total` frames."""
    if n == 1:
        return [max(total - 1, 0) // 2]
    return [round(k * max(total - 1, 0) / (n - 1)) for k in range(n)]


def _name(source: Source) -> str:
    return str(source) if isinstance(source, (str, os.PathLike)) else str(getattr(source, "name", "stream"))


@contextmanager
def _open_stream(source: Source) -> Iterator[tuple[Any, Any]]:
    import av

    from mvideo_core.media._streams import main_stream

    where: Any = file_url(source) if isinstance(source, (str, os.PathLike)) else source
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        with av.open(where, options=options, metadata_errors="replace") as container:
            stream = main_stream(container)
            if stream is None or stream.codec_context is None:
                raise MediaError("no video stream inside, or of a codec that FFmpeg does not know")
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"err_detect": "explode"}  # else a damaged picture is patched from others
            yield container, stream
    except MediaError as error:
        raise MediaError(f"{_name(source)}: {error}") from None
    except (av.error.FFmpegError, EOFError) as error:
        raise MediaError(f"{_name(source)}: cannot be decoded: {error}") from None
