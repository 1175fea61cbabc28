"""Small video files of every awkward kind, drawn at test time through PyAV."""

from fractions import Fraction

import av
import numpy as np


def picture(k, width, height):
    """Frame k: a gradient that moves, with a bright square."""
    y, x = np.mgrid[:height, :width]
    frame = np.stack([(x + 3 * k) % 256, (y + 2 * k) % 256, np.full_like(x, (5 * k) % 256)], -1).astype(np.uint8)
    frame[height // 4 : height // 2, width // 4 : width // 2] = 255
    return frame


def write(path, n=40, width=96, height=64, fps=10, codec="libx264", pix_fmt="yuv420p", pts=None, **more):
    """A video of `n` frames; `pts` in milliseconds makes the rate variable; `sar`, `gop`, `format` as named.

    Returns the path.
    """
    container_format = more.get("format") or ("matroska" if str(path).endswith("mkv") else None)
    with av.open(str(path), "w", format=container_format) as out:
        options = {"g": str(more.get("gop", 10)), "preset": "ultrafast"} if codec == "libx264" else {}
        stream = out.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if pts:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if "sar" in more:
            stream.codec_context.sample_aspect_ratio = more["sar"]
        out.start_encoding()
        for k in range(n):
            frame = av.VideoFrame.from_ndarray(picture(k, width, height), format="rgb24").reformat(format=pix_fmt)
            frame.pts = pts[k] if pts else k
            frame.time_base = Fraction(1, 1000) if pts else Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def write_huge(path, width=9000, height=5000):
    """One black frame of that size, FFV1 in Matroska."""
    with av.open(str(path), "w", format="matroska") as out:
        stream = out.add_stream("ffv1", rate=1)
        stream.width, stream.height, stream.pix_fmt = width, height, "gray"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((height, width), np.uint8), format="gray")))
        out.mux(stream.encode())
    return path


def write_audio(path, seconds=1):
    """An MP4 with sound only."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        for k in range(seconds * 15):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, k * 1024
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def rotated(source, path):
    """A copy of an MP4 whose track header asks for 90 degrees, by rewriting the 3x3 matrix of the video `tkhd` box."""
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 4 * 5 + 8 + 8
    matrix = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000]
    data[at : at + 36] = b"".join(int(v & 0xFFFFFFFF).to_bytes(4, "big") for v in matrix)
    path.write_bytes(data)
    return path


def huge_header(source, path, side=60000):
    """A copy of an MP4 whose headers, but not whose coded frames, claim side x side pixels."""
    data = bytearray(source.read_bytes())
    at = data.index(b"avc1") + 4 + 24
    data[at : at + 4] = side.to_bytes(2, "big") * 2
    at = data.index(b"tkhd") + 4 + 4 + 4 * 5 + 8 + 8 + 36
    data[at : at + 8] = (side << 16).to_bytes(4, "big") * 2
    path.write_bytes(data)
    return path
