"""Which stream of a file is the video, and where its timeline starts. Needs only PyAV: the probing child uses it."""

from typing import Any

import av


def video_streams(container: Any) -> list[Any]:
    """Streams of moving pictures: no cover art, no thumbnails."""
    still = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & still]


def main_stream(container: Any) -> Any | None:
    """The default stream, or the largest if there are several (the first if equal); None without a video."""

    def rank(stream: Any) -> tuple[bool, int]:
        context = stream.codec_context  # None: a codec that FFmpeg does not know
        pixels = context.width * context.height if context else 0
        return bool(stream.disposition & av.stream.Disposition.default), pixels

    return max(video_streams(container), key=rank, default=None)


def start_s(stream: Any) -> float:
    """Timestamp of the first frame in seconds; 0 if the file has none."""
    return float((stream.start_time or 0) * stream.time_base)
