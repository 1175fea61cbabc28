"""75% color bars of six kinds of file, cut into clips, read back by MVideo, by ffmpeg and by OpenCV.

`python -m benchmarks.color_bars` prints the tables of benchmarks/results/color_bars.md. Exit code 1: a color is off by
more than WITHIN levels, or a kind gave no clip.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mvideo_core.curation.ingest.describe import describe
from mvideo_core.curation.ingest.naming import uri_of
from mvideo_core.curation.ingest.sources import SourceItem
from mvideo_core.curation.scenes.cut import cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.media.decode import first_frame
from mvideo_core.media.ffmpeg import ffmpeg_path
from tests.mvideo_core.media import bars

WITHIN = 3
"""Goal: no channel of any bar is off by more, 0 to 255."""
NAMES = ("white", "yellow", "cyan", "green", "magenta", "red", "blue", "black")
BARS = np.array([[191 * (bit in on) for bit in "rgb"] for on in ("rgb", "rg", "gb", "g", "rb", "r", "b", "")])
OPTIONS = CutOptions(fit="stretch", min_shot_s=1, min_frames=9, max_frames=17)
"""The defaults, except that all bars stay in the picture and a short source is enough."""


class Kind(NamedTuple):
    """A kind of source, for `bars.write`."""

    matrix: str
    tagged: bool = True
    full: bool = False
    size: tuple[int, int] = (320, 180)


KINDS = {
    "bt709, tagged": Kind("bt709", size=(1280, 720)),
    "bt709, untagged HD": Kind("bt709", tagged=False, size=(1280, 720)),
    "bt601, tagged": Kind("bt601"),
    "bt601, untagged SD": Kind("bt601", tagged=False),
    "bt709, full range": Kind("bt709", full=True, size=(1280, 720)),
    "bt2020 matrix, bt709 primaries": Kind("bt2020, bt709 primaries", size=(1280, 720)),
}


def read_by_ffmpeg(path: Path) -> NDArray[np.uint8]:
    """First frame of a clip, (H, W, 3), by the program, without any option about the colors."""
    argv = [ffmpeg_path(), "-v", "error", "-i", str(path), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(argv, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(OPTIONS.height, OPTIONS.width, 3)


READERS: dict[str, Callable[[Path], NDArray[np.uint8]]] = {
    "MVideo": first_frame, "ffmpeg": read_by_ffmpeg, "OpenCV": bars.read_by_opencv,
}  # fmt: skip


class Read(NamedTuple):
    """Colors of one kind's clip by one reader.

    Attributes:
        middles: (8, 3), in the middle of each bar.
        off: (8,), largest difference of any channel in the middle half of the bar, all rows.
    """

    middles: NDArray[np.int64]
    off: NDArray[np.int64]


def read_colors(frame: NDArray[np.uint8]) -> Read:
    """Compare a frame of upright bars with BARS."""
    height, width = frame.shape[:2]
    step = width / len(BARS)
    centers = ((np.arange(len(BARS)) + 0.5) * step).astype(int)
    quarter = int(step / 4)
    inner = [frame[:, x - quarter : x + quarter].astype(int) for x in centers]
    off = [np.abs(part - true).max() for part, true in zip(inner, BARS, strict=True)]
    return Read(frame[height // 2, centers].astype(int), np.array(off))


def measure(kind: Kind, folder: Path) -> dict[str, Read]:
    """Draw one kind, cut it, and read the clip by every reader."""
    width, height = kind.size
    drawn = np.broadcast_to(BARS[np.arange(width) * len(BARS) // width], (height, width, 3)).astype(np.uint8)
    path = bars.write(
        folder / "bars.mp4", matrix=kind.matrix, tagged=kind.tagged, full=kind.full, size=kind.size, rgb=drawn
    )
    row = describe(SourceItem(video_id="bars", uri=uri_of(path)))
    [clip] = cut_video(path, row, folder, OPTIONS).clips
    return {name: read_colors(reader(Path(clip.path))) for name, reader in READERS.items()}


def table(found: dict[str, dict[str, Read]]) -> Iterator[str]:
    """Markdown: the largest difference per kind and reader, then every bar."""
    readers = list(READERS)
    yield from _head(["Kind of source", *readers])
    for kind, by in found.items():
        yield _row([kind, *(str(by[name].off.max()) for name in readers)])
    yield ""
    yield from _head(["Kind of source", "Bar", "True RGB", *readers, "Largest difference"])
    for kind, by in found.items():
        for n, bar in enumerate(NAMES):
            worst = max(one.off[n] for one in by.values())
            read = [_rgb(by[name].middles[n]) for name in readers]
            yield _row([kind, bar, _rgb(BARS[n]), *read, str(worst)])


def _head(cells: Sequence[str]) -> list[str]:
    return [_row(cells), "|" + "---|" * len(cells)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rgb(color: NDArray[np.int64]) -> str:
    return " ".join(str(value) for value in color)


def main() -> None:
    """Print the tables."""
    found = {}
    for name, kind in KINDS.items():
        with tempfile.TemporaryDirectory(prefix="mvideo-bars-") as folder:
            found[name] = measure(kind, Path(folder))
    print("\n".join(table(found)))
    sys.exit(int(max(one.off.max() for by in found.values() for one in by.values()) > WITHIN))


if __name__ == "__main__":
    main()
