"""Joins several MP4 files with the same encoder settings into one, without re-encoding."""

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import new_file
from mvideo_core.base.errors import MediaError


def join_mp4(parts: Iterable[Path], path: str | os.PathLike[str], fps: float, n_frames: int) -> None:
    """Write the parts one after another, atomically; one packet in memory at a time.

    Args:
        parts: H.264 files of one size, made with the same settings.
        fps: of all parts.
        n_frames: total frames of all parts.

    Raises:
        MediaError: a part cannot be read, or the number of frames is wrong. StoreError: disk error.
    """
    import av

    frame_s, seen, target = 1 / Fraction(fps).limit_denominator(1001), 0, None
    try:
        with new_file(path) as whole, av.open(str(whole), "w", format="mp4", options={"movflags": "faststart"}) as sink:
            for part in parts:
                with av.open(str(part), metadata_errors="replace") as source:
                    stream = source.streams.video[0]
                    target = target or sink.add_stream_from_template(stream)
                    assert stream.time_base is not None
                    shift = int(seen * frame_s / stream.time_base)
                    seen += _copy(source, stream, sink, target, shift)
            if seen != n_frames:
                raise MediaError(
                    f"{path}: {seen} frames in the parts, {n_frames} expected; start again with --overwrite"
                )
    except av.FFmpegError as error:
        raise MediaError(f"{path}: joining failed: {error}; start again with --overwrite") from error


def _copy(source: Any, stream: Any, sink: Any, target: Any, shift: int) -> int:
    count = 0
    for packet in source.demux(stream):
        if packet.dts is None:
            continue
        packet.pts += shift
        packet.dts += shift
        packet.stream = target
        sink.mux(packet)
        count += 1
    return count
