"""Which pictures of a file are damaged: checked only if the decoder complained, since it costs a second decode."""

import json
import math
import sys
from pathlib import Path

from mvideo_core.base.errors import MediaError
from mvideo_core.media.ffmpeg import FORMATS
from mvideo_core.media.files import open_regular
from mvideo_core.media.probe import MediaInfo, ProbeOptions
from mvideo_core.processes import sandbox

DAMAGE_WALL_S = 600.0
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


def refuse_damage(path: str | Path, info: MediaInfo, start_s: float = 0.0, length_s: float = 0.0) -> None:
    """Check that all pictures of a probed file decode without errors; costs a decode in a guarded child.

    Args:
        start_s, length_s: check this part only; length 0 = to the end.

    Raises:
        MediaError: some do not; the message has their number and the time of the first.
    """
    options = ProbeOptions()
    limits = sandbox.Limits(wall_s=DAMAGE_WALL_S, memory_bytes=int(options.memory_gib * 2**30))
    with open_regular(path) as fd:
        times = find_damage_s(fd, str(path), limits, info.picture.stream_index, options.max_pixels)
    damaged = [time_s for time_s in times if start_s <= time_s < start_s + (length_s or math.inf)]
    if damaged:
        raise MediaError(
            f"{path}: {len(damaged)} damaged pictures, the first at {damaged[0]:.2f} s; get the file again, or cut out "
            "a part without them"
        )
