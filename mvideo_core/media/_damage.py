"""Body of a child that finds a file's damaged pictures: file descriptor and limits as arguments, JSON out.

A script like `_examine.py`. One thread, so that the answer does not depend on the machine.
"""

import json
import sys
from pathlib import Path
from typing import Any

import av

sys.path.append(str(Path(__file__).parent))  # isolated: the package itself is not importable here
import _streams


def damaged_times(fd: int, settings: dict) -> list[float]:
    """Times of damaged pictures, in seconds from the first picture: those the decoder flags or cannot decode, and all
    that may be predicted from them, up to the next keyframe."""
    whitelists = {"protocol_whitelist": "file", "format_whitelist": settings["formats"]}
    shown: list[tuple[float, bool, bool]] = []  # time, damaged, keyframe
    with av.open(f"file:/dev/fd/{fd}", options=whitelists, metadata_errors="replace") as container:
        streams = [one for one in container.streams if one.index == settings["stream_index"]]
        stream: Any = streams[0] if streams else _streams.main_stream(container)
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(settings["max_pixels"])}
        for packet in container.demux(stream):
            try:
                for frame in stream.codec_context.decode(packet if packet.size else None):
                    if frame.pts is not None:
                        shown.append((float(frame.pts * stream.time_base), frame.is_corrupt, frame.key_frame))
            except av.error.EOFError:
                break
            except av.error.FFmpegError:
                if packet.pts is not None:
                    shown.append((float(packet.pts * stream.time_base), True, False))
    shown.sort()
    return _spread(shown)


def _spread(shown: list[tuple[float, bool, bool]]) -> list[float]:
    bad, times = False, []
    for time_s, damaged, key in shown:
        bad = damaged or (bad and not key)
        if bad:
            times.append(round(time_s - shown[0][0], 6))
    return times


if __name__ == "__main__":
    av.logging.set_level(None)
    print(json.dumps(damaged_times(int(sys.argv[1]), json.loads(sys.argv[2]))))
