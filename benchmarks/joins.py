"""Joins of clips by every transition of ffmpeg's xfade and by hard cuts: which ones the cut stage detects, by kind.

Each file holds the ends of two clips joined by one transition. Counted with and without `cut.wipes`:

- found: a boundary was reported that touches the transition;
- clean: no frame of any clip is inside the transition, and no clip has frames from both sides;
- false: boundaries reported elsewhere.

Input is a folder of single-shot videos; without one, shots of the mini world are rendered. With `--fitted`, also with
the weights that `benchmarks.transitions wipes` fitted (benchmarks/results/transitions_wipes.json).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from mvideo_core.base.listing import visible_files
from mvideo_core.curation.ingest.describe import describe
from mvideo_core.curation.ingest.naming import uri_of
from mvideo_core.curation.ingest.sources import SourceItem
from mvideo_core.curation.scenes import cut
from mvideo_core.curation.scenes.cut import CutResult, cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.curation.scenes.wipes import WEIGHTS, WipeFinder, WipeWeights
from mvideo_core.media.encode import write_mp4
from mvideo_core.media.ffmpeg import ffmpeg_path

WIDTH, HEIGHT, FPS = 256, 144, 24
PIECE_S = 5.0
"""Length of each clip, not counting the transition."""
DURATIONS_S = (0.3, 0.5, 1.0, 2.0)
_FOUR = ("left", "right", "up", "down")
_CORNERS = ("tl", "tr", "bl", "br")
KINDS = {
    "wipe": [f"wipe{way}" for way in _FOUR + _CORNERS],
    "slide": [f"slide{way}" for way in _FOUR],
    "smooth": [f"smooth{way}" for way in _FOUR],
    "cover": [f"cover{way}" for way in _FOUR],
    "reveal": [f"reveal{way}" for way in _FOUR],
    "diagonal": [f"diag{way}" for way in _CORNERS],
    "radial": ["radial"],
    "slice": ["hlslice", "hrslice", "vuslice", "vdslice"],
    "wind": ["hlwind", "hrwind", "vuwind", "vdwind"],
    "circle, rectangle": ["circleopen", "circleclose", "circlecrop", "rectcrop"],
    "doors": ["horzopen", "horzclose", "vertopen", "vertclose"],
    "squeeze": ["squeezeh", "squeezev"],
    "zoom": ["zoomin"],
    "blur": ["hblur"],
    "pixelize": ["pixelize"],
    "dissolve": ["dissolve", "distance"],
    "fade": ["fade", "fadefast", "fadeslow", "fadeblack", "fadewhite", "fadegrays"],
    "cut": ["cut"],
}
OPTIONS = {"width": 96, "height": 64, "min_shot_s": 1.0, "min_frames": 9, "max_frames": 17, "preset": "ultrafast"}


class Join(NamedTuple):
    """One composed file; the transition's mixed frames are strictly between the two times."""

    path: Path
    group: str
    kind: str
    start_s: float
    end_s: float


class Seen(NamedTuple):
    """The result for one join."""

    found: bool
    clean: bool
    n_false: int


def measure(
    folder: Path | None, only: str = "", every: int = 1, seed: int = 0, fitted: WipeWeights | None = None
) -> dict[str, Any]:
    """Counts per group of kinds and per duration, with and without `cut.wipes`, and with fitted weights if given."""
    settings: list[tuple[str, WipeWeights | None]] = [("before", None), ("after", WEIGHTS)]
    settings += [("fitted", fitted)] if fitted else []
    counts: dict[str, dict[str, list[int]]] = {}
    with tempfile.TemporaryDirectory(prefix="mvideo-joins-") as scratch:
        pieces = _pieces(folder, Path(scratch))
        for join in _joins(pieces, Path(scratch), only, every, seed):
            for name, weights in settings:
                seen = judge(join, _cut(join.path, weights))
                for row in (join.group, f"{join.end_s - join.start_s:.1f} s", "all"):
                    tally = counts.setdefault(row, {}).setdefault(name, [0, 0, 0, 0])
                    for k, one in enumerate((1, seen.found, seen.clean, seen.n_false)):
                        tally[k] += int(one)
                if weights and not seen.clean:
                    print(f"{name}, not clean: {join.path.stem}, found {seen.found}", file=sys.stderr, flush=True)
            print(f"{join.path.stem}: {counts[join.group]}", file=sys.stderr, flush=True)
            join.path.unlink()
    fields = ("joins", "found", "clean", "false")
    return {row: {name: dict(zip(fields, t, strict=True)) for name, t in both.items()} for row, both in counts.items()}


def judge(join: Join, result: CutResult) -> Seen:
    """See the top of this file."""
    touching = [one for one in result.transitions if one.start_s <= join.end_s and one.end_s >= join.start_s]
    clean = True
    for clip in result.clips:
        times = clip.start_s + np.arange(clip.n_frames) * (clip.end_s - clip.start_s) / clip.n_frames
        mixed = (times > join.start_s + 1e-6) & (times < join.end_s - 1e-6)
        both = times[0] < join.end_s - 1e-6 and times[-1] > join.start_s + 1e-6 and join.start_s == join.end_s
        clean &= not mixed.any() and not both
    return Seen(bool(touching), clean, len(result.transitions) - len(touching))


def _pieces(folder: Path | None, scratch: Path) -> list[Path]:
    """Every clip at one size and rate, lossless."""
    sources = visible_files(folder, ".mp4") if folder else list(_draw_videos(scratch))
    out = []
    for number, source in enumerate(sources):
        out.append(scratch / f"piece{number}.mkv")
        graph = f"fps={FPS},scale={WIDTH}:{HEIGHT}:flags=area,setsar=1,format=yuv420p,settb=1/{FPS}"
        _ffmpeg(["-i", str(source), "-an", "-vf", graph, "-c:v", "ffv1", str(out[-1])])
    return out


def _draw_videos(scratch: Path) -> Iterator[Path]:
    from mvideo_core.miniworld.world import render_shot, sample_shot

    for seed in range(6):
        path = scratch / f"drawn{seed}.mp4"
        frames = render_shot(sample_shot(seed, "heldout"), 8 * FPS, WIDTH, HEIGHT, fps=FPS)
        write_mp4((frame.rgb for frame in frames), path, fps=FPS, preset="ultrafast")
        yield path


def _joins(pieces: list[Path], scratch: Path, only: str, every: int, seed: int) -> Iterator[Join]:
    rng = np.random.default_rng(seed)
    number = 0
    for group, kinds in KINDS.items():
        for kind in kinds:
            for duration_s in DURATIONS_S if kind != "cut" else (0.0,) * len(DURATIONS_S):
                first, second = rng.choice(len(pieces), 2, replace=False)
                number += 1
                if only in kind and number % every == 0:
                    path = scratch / f"{kind}-{duration_s}-{first}-{second}.mp4"
                    start_s = _compose(pieces[first], pieces[second], kind, duration_s, path)
                    yield Join(path, group, kind, start_s, start_s + duration_s)


def _compose(first: Path, second: Path, kind: str, duration_s: float, path: Path) -> float:
    """Write the join. Returns: where the transition starts, in seconds."""
    length_s = PIECE_S + duration_s
    have_s = min(describe(SourceItem(video_id="v", uri=uri_of(first))).duration_s, length_s)
    start_s = round((have_s - duration_s) * FPS) / FPS
    if kind == "cut":
        graph = f"[0]trim=end={start_s},setpts=PTS-STARTPTS[a];[1]trim=end={length_s}[b];[a][b]concat"
    else:
        graph = f"[1]trim=end={length_s}[b];[0][b]xfade=transition={kind}:duration={duration_s}:offset={start_s}"
    coding = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"]
    _ffmpeg(["-i", str(first), "-i", str(second), "-filter_complex", graph, *coding, str(path)])
    return start_s


def _cut(path: Path, weights: WipeWeights | None) -> CutResult:
    """Cut with these weights of the wipe finder; None = without it."""
    finder = partial(WipeFinder, weights=weights or WEIGHTS)
    options = CutOptions.parse(OPTIONS | {"wipes": {"enabled": weights is not None}})
    with tempfile.TemporaryDirectory(prefix="mvideo-joins-") as out, patch.object(cut, "WipeFinder", finder):
        return cut_video(path, describe(SourceItem(video_id="v", uri=uri_of(path))), out, options)


def _ffmpeg(arguments: list[str]) -> None:
    subprocess.run([ffmpeg_path(), "-loglevel", "error", "-y", *arguments], check=True)


def main() -> None:
    """Print one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="single-shot MP4 files; default: rendered ones")
    parser.add_argument("--only", default="", help="kinds whose name contains this")
    parser.add_argument("--every", type=int, default=1, help="measure every n-th join only")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of pairs")
    parser.add_argument("--fitted", type=Path, help="JSON file of `benchmarks.transitions wipes`")
    args = parser.parse_args()
    fitted = WipeWeights(**json.loads(args.fitted.read_text())["fitted"]["weights"]) if args.fitted else None
    print(json.dumps(measure(args.folder, args.only, args.every, args.seed, fitted), indent=1))


if __name__ == "__main__":
    main()
