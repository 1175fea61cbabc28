"""Which pictures of a file are damaged: checked only if the decoder complained, since it costs a second decode."""

import json
import sys
from pathlib import Path

from mvideo_core.media.ffmpeg import FORMATS
from mvideo_core.processes import sandbox

_CHILD = str(Path(__file__).with_name("_damage.py"))


def find_damage_s(fd: int, what: str, limits: sandbox.Limits, stream_index: int, max_pixels: int) -> list[float]:
    """Times of damaged pictures in seconds from the first picture, ascending, found in a guarded child.

    A picture counts if the decoder flags it, logs an error over it, cannot decode it, or may have predicted it from a
    damaged picture (everything up to the next keyframe).

    Args:
        fd: descriptor of the checked file.
        what: name for messages.
        limits: of the child.
        stream_index: stream to decode; -1 = the main one.
        max_pixels: frames larger than this are not decoded.

    Raises:
        MediaError: the child failed or ran out of time.
    """
    settings = {"formats": FORMATS, "stream_index": stream_index, "max_pixels": max_pixels}
    argv = [sys.executable, "-I", _CHILD, str(fd), json.dumps(settings)]
    return list(json.loads(sandbox.run(argv, limits, f"{what}: looking for damaged pictures", pass_fds=(fd,))))
