"""Body of the child that finds a file's damaged pictures: file descriptor and limits as arguments, JSON out.

A script like `_examine.py`. Single-threaded, so that the answer does not depend on the machine.
"""

import json
import sys
from pathlib import Path
from typing import Any

import av

sys.path.append(str(Path(__file__).parent))  # isolated: the package itself is not importable here
import _streams


def find_damage_times(fd: int, settings: dict) -> list[float]:
    """Times of damaged pictures, in seconds from the first picture: pictures that the decoder flags, complains about or
    cannot decode, and all pictures that may be predicted from them, up to the next keyframe.
    """
    whitelists = {"protocol_whitelist": "file", "format_whitelist": settings["formats"]}
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    shown: list[tuple[float, bool, bool]] = []  # time, damaged, keyframe
    first_s, packet_s = float("inf"), 0.0
    with av.open(f"file:/dev/fd/{fd}", options=whitelists, metadata_errors="replace") as container:
        streams = [one for one in container.streams if one.index == settings["stream_index"]]
        stream: Any = streams[0] if streams else _streams.main_stream(container)
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(settings["max_pixels"])}
        with av.logging.Capture() as complaints:
            for packet in container.demux(stream):
                stamp = packet.dts if packet.pts is None else packet.pts
                packet_s = packet_s if stamp is None else float(stamp * stream.time_base)
                failed = False
                try:
                    for frame in stream.codec_context.decode(packet if packet.size else None):
                        if frame.pts is not None:
                            time_s = float(frame.pts * stream.time_base)
                            first_s = min(first_s, time_s)
                            shown.append((time_s, frame.is_corrupt, frame.key_frame))
                except av.error.EOFError:
                    break
                except av.error.FFmpegError:
                    failed = True
                if failed or complaints:
                    shown.append((packet_s, True, False))
                    complaints.clear()
    return _spread(sorted(shown), first_s)


def _spread(shown: list[tuple[float, bool, bool]], first_s: float) -> list[float]:
    bad, times = False, set()
    for time_s, damaged, key in shown:
        bad = damaged or (bad and not key)
        if bad:
            times.add(round(time_s - first_s, 6))
    return sorted(times)


if __name__ == "__main__":
    print(json.dumps(find_damage_times(int(sys.argv[1]), json.loads(sys.argv[2]))))
