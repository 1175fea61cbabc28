"""Body of the probing child: files arrive as descriptors over a socket, answers leave as JSON. Needs only PyAV.

Runs as a script, never imported by the parent, so that whatever a file does to a demuxer or decoder stays here.
"""

import json
import os
import resource
import socket
import sys

import av


def examine(fd: int, settings: dict) -> dict:
    """What the file is, or {"error": reason}."""
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
    streams = [s for s in container.streams.video if not (s.disposition & av.stream.Disposition.attached_pic)]
    if not streams:
        what = "audio only" if container.streams.audio else "no stream at all"
        return {"error": f"no video stream ({what})"}
    stream = streams[0]
    context = stream.codec_context
    pixels = context.width * context.height
    if pixels > settings["max_pixels"] or pixels <= 0:
        size = f"{context.width}x{context.height}" if pixels > 0 else "unknown or refused size"
        return {"error": f"frame of {size}; at most {settings['max_pixels']} pixels allowed"}
    duration = _duration_s(container, stream)
    if duration > settings["max_duration_s"]:
        return {"error": f"{duration:.1f} s long; at most {settings['max_duration_s']:g} s allowed"}
    context.thread_count = 1
    context.options = {"max_pixels": str(settings["max_pixels"])}
    first = next(container.decode(stream), None)
    if first is None:
        return {"error": "no video frame decodes"}
    info = _facts(container, stream, first, duration)
    if settings["check_tail"]:
        info |= _tail(container, stream, duration)
    return info


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
    }


def _duration_s(container, stream) -> float:
    """Seconds by the header; by the last packet where the header is silent (live WebM, FLV, TS cut short)."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return container.duration / av.time_base
    last = 0.0
    for packet in container.demux(stream):
        if packet.pts is not None:
            last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    container.seek(0)
    return last


def _tail(container, stream, duration: float) -> dict:
    """Read the packets of the last seconds without decoding them; a file whose end is missing answers with an error."""
    start = float((stream.start_time or 0) * stream.time_base)
    target = start + max(0.0, duration - 2.0)
    container.seek(int(target / float(stream.time_base)), stream=stream, backward=True)
    last = None
    for packet in container.demux(stream):
        if packet.size and packet.pts is not None and not packet.is_corrupt:
            end = float((packet.pts + (packet.duration or 0)) * stream.time_base) - start
            last = end if last is None else max(last, end)
    if last is None or duration - last > max(2.0, 0.02 * duration):
        return {"error": f"truncated: the last whole frame ends at {last or 0:.2f} s of {duration:.2f} s"}
    return {"last_frame_s": last}


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
