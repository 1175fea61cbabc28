"""Body of the probing child: receives files as descriptors over a socket, answers in JSON. Needs only PyAV.

Runs as a script, never imported by the parent, so that a file that breaks a demuxer or decoder harms only this process.
"""

import json
import os
import resource
import socket
import sys
from pathlib import Path

import av

sys.path.append(str(Path(__file__).parent))  # isolated: the package itself is not importable here
import _streams

N_LOOKED_AT = 8
"""Frames decoded at the start: some encoders mix frames and fields."""

FIELD_ORDERS = (2, 3, 4, 5)
"""libavcodec: top or bottom field first, coded or shown; 1 is progressive."""


def examine(fd: int, settings: dict) -> dict:
    """The file's properties, or {"error": reason}."""
    limits = {"max_pixels": str(settings["max_pixels"])}
    whitelists = {"protocol_whitelist": "file", "format_whitelist": settings["formats"]}
    try:
        with av.open(
            f"file:/dev/fd/{fd}", format=settings["format"], options=whitelists | limits, metadata_errors="replace"
        ) as container:
            return _describe(container, settings)
    except (av.error.FFmpegError, EOFError, ValueError) as error:
        return {"error": f"cannot be read: {error}"}
    except MemoryError:
        return {"error": "needs more memory than allowed"}


def _describe(container, settings: dict) -> dict:
    stream = _streams.main_stream(container)
    if stream is None:
        what = "audio only" if container.streams.audio else "no stream at all"
        return {"error": f"no video stream ({what})"}
    context = stream.codec_context
    if context is None:  # an unknown codec, or a file cut off within its first frame
        return {"error": "its video codec is unknown, or it is cut off within its first frame"}
    pixels = context.width * context.height
    if pixels > settings["max_pixels"] or pixels <= 0:
        size = f"{context.width}x{context.height}" if pixels > 0 else "unknown or refused size"
        return {"error": f"frame of {size}; at most {settings['max_pixels']} pixels allowed"}
    duration = _duration_s(container, stream)
    if duration > settings["max_duration_s"]:
        return {"error": f"{duration:.1f} s long; at most {settings['max_duration_s']:g} s allowed"}
    context.thread_count = 1
    context.options = {"max_pixels": str(settings["max_pixels"])}
    frames = container.decode(stream)
    first = next(frames, None)
    if first is None:
        return {"error": "no video frame could be decoded"}
    info = _facts(container, stream, first, duration)
    info["picture"]["interlaced"] |= first.interlaced_frame or _any_interlaced(container, stream)
    if settings["check_tail"]:
        info |= _tail(container, stream, duration)
    return info


def _any_interlaced(container, stream) -> bool:
    """Whether any of the next frames contains fields; damaged frames, which the cut stage handles, are skipped."""
    frames = container.decode(stream)
    for _ in range(N_LOOKED_AT):
        try:
            frame = next(frames, None)
        except av.error.FFmpegError:
            frames = container.decode(stream)
            continue
        if frame is None or frame.interlaced_frame:
            return frame is not None
    return False


def _facts(container, stream, frame, duration: float) -> dict:
    rotation = round(frame.rotation) % 360
    ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    sar = float(ratio) if ratio and 0.01 < float(ratio) < 100 else 1.0
    width, height = max(1, round(frame.width * sar)), frame.height
    if rotation in (90, 270):
        width, height = height, width
    average, guessed = stream.average_rate, stream.guessed_rate
    return {
        "container": container.format.name,
        "codec": stream.codec_context.name,
        "pix_fmt": frame.format.name,
        "bit_depth": max(component.bits for component in frame.format.components),
        "width": width,
        "height": height,
        "coded_width": frame.width,
        "coded_height": frame.height,
        "rotation_deg": rotation,
        "sar": sar,
        "fps": float(average or guessed or 0),
        "variable_fps": bool(average and guessed and abs(float(average / guessed) - 1) > 0.01),
        "duration_s": duration,
        "n_frames": stream.frames,
        "has_audio": bool(container.streams.audio),
        "picture": _picture(stream, frame),
    }


def _picture(stream, frame) -> dict:
    """What the file states about the samples' meaning: H.273 numbers, 2 = unspecified (range: 0)."""
    return {
        "stream_index": stream.index,
        "pix_fmt": frame.format.name,
        "is_rgb": frame.format.is_rgb or frame.format.has_palette,
        "bit_depth": max(component.bits for component in frame.format.components),
        "coded_width": frame.width,
        "coded_height": frame.height,
        "matrix": int(frame.colorspace),
        "range": int(frame.color_range),
        "primaries": int(frame.color_primaries),
        "transfer": int(frame.color_trc),
        "interlaced": stream.codec_context.field_order in FIELD_ORDERS,
    }


def _duration_s(container, stream) -> float:
    """Seconds according to the header, or to the last packet if the header has no duration (live WebM, FLV, truncated
    TS).
    """
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return container.duration / av.time_base
    last = _last_end_s(container, stream)
    container.seek(0)
    return (last or 0.0) - _streams.start_s(stream)


def _tail(container, stream, duration: float) -> dict:
    """Read the packets of the last seconds without decoding them; a file whose end is missing gives an error.

    Where the video stream has no duration (Matroska, FLV, TS), the header's counts to the end of the longest stream, in
    Matroska from time 0 and not from the first frame; then any stream may be the longest.
    """
    start, own = _streams.start_s(stream), bool(stream.duration)
    first = start if own else min(0.0, start)
    target = start + max(0.0, duration - 2.0)
    container.seek(int(target / float(stream.time_base)), stream=stream, backward=True)
    last, any_last = None, None
    for packet in container.demux() if not own else container.demux(stream):
        if packet.size and packet.pts is not None and not packet.is_corrupt:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            any_last = end if any_last is None else max(any_last, end)
            if packet.stream.index == stream.index:
                last = end if last is None else max(last, end)
    if any_last is None or duration - (any_last - first) > max(2.0, 0.02 * duration):
        return {
            "error": f"truncated: the last whole frame ends at {(any_last or first) - first:.2f} s of {duration:.2f} s"
        }
    if last is None:
        container.seek(0)
        last = _last_end_s(container, stream) or start
    length = last - start
    return {"last_frame_s": length} if own else {"last_frame_s": length, "duration_s": length}


def _last_end_s(container, stream) -> float | None:
    ends = [
        float((packet.pts + (packet.duration or 0)) * packet.time_base)
        for packet in container.demux(stream)
        if packet.size and packet.pts is not None
    ]
    return max(ends, default=None)


def serve(link: socket.socket) -> None:
    """One request, one answer, until the parent hangs up."""
    while True:
        request, fds, _, _ = socket.recv_fds(link, 65536, 1)
        if not request:
            return
        settings = json.loads(request)
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = used.ru_utime + used.ru_stime
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(spent) + 1 + settings["cpu_s"], hard))
        answer = examine(fds[0], settings)
        os.close(fds[0])
        link.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    av.logging.set_level(None)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        serve(channel)
