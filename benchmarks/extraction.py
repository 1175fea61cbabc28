"""Cost of extracting all clips of a file: within the single decode, compared with one ffmpeg process per clip.

The alternative is what curation scripts do: find the cuts in a separate decode, then run for each clip `ffmpeg -ss
start -i file -vf fps,crop,scale -c:v libx264`, one after another, each on all cores. Same detection, same clips, same
rate, size and x264 settings.

- extraction only: seconds that clips add to detection: cut - detect, compared with the processes' sum.
- whole: detection and clips together.

    python -m benchmarks.extraction --presets    CPU seconds, kB and SSIM of x264 presets on the film's clips
    python -m benchmarks.extraction --threads    the same, and wall seconds, of encoders with threads of their own
"""

import argparse
import json
import re
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.cutting import detect_only, film_facts
from benchmarks.drawing import Film, draw_film, open_film
from benchmarks.timing import Took, Work, cpus, interleave, ratio, spread, walls
from mvideo_core.curation.scenes.cut import CutClip, cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.media.decode import count_frames
from mvideo_core.media.ffmpeg import ffmpeg_path


def measure(film: Film | None = None, rounds: int = 3) -> dict[str, Any]:
    """Seconds of both ways, extraction only and whole, in wall and CPU time."""
    options = CutOptions()
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        film = film or draw_film(Path(folder))
        ours, theirs = Path(folder) / "ours", Path(folder) / "theirs"
        ours.mkdir()
        theirs.mkdir()
        clips = cut_video(film.path, film.row, ours, options).clips
        per_clip(film, clips, theirs, options)
        same = all(count_frames(path) == count_frames(theirs / path.name) for path in ours.iterdir())
        works: dict[str, Work] = {
            "detect": lambda: detect_only(film),
            "cut": lambda: cut_video(film.path, film.row, ours, options),
            "per_clip": lambda: per_clip(film, clips, theirs, options),
        }
        took = interleave(works, rounds, warm_up=False)
    wall, cpu = ({name: of(one) for name, one in took.items()} for of in (walls, cpus))
    compared = {what: _compare(seconds) for what, seconds in (("wall_s", wall), ("cpu_s", cpu))}
    return {
        "film": film_facts(film),
        "clips": len(clips),
        "clip_seconds": round(sum(clip.n_frames for clip in clips) / options.fps, 1),
        "same_frame_counts": same,
        **compared,
        "extraction_speedup": compared["wall_s"]["extraction"]["median"],
        "spread": {"extraction_speedup": compared["wall_s"]["extraction"]},
        "whole_speedup": compared["wall_s"]["whole"]["median"],
        "extraction_speedup_cpu": compared["cpu_s"]["extraction"]["median"],
        "goals": {"extraction_speedup": ">= 2"},
    }


def per_clip(film: Film, clips: list[CutClip], out_dir: Path, options: CutOptions) -> None:
    """One process per clip, seeking to its start."""
    width, height = options.width, options.height
    shape = f"crop='min(iw,ih*{width}/{height})':'min(ih,iw*{height}/{width})',scale={width}:{height}"
    for clip in clips:
        argv = [
            ffmpeg_path(),
            "-loglevel",
            "error",
            "-nostdin",
            "-y",
            "-ss",
            f"{clip.start_s:.6f}",
            "-i",
            str(film.path),
        ]
        argv += ["-an", "-sn", "-dn", "-vf", f"fps={options.fps:g},{shape}", "-frames:v", str(clip.n_frames)]
        argv += ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", options.preset, "-crf", str(options.crf)]
        subprocess.run([*argv, "-movflags", "+faststart", str(out_dir / Path(clip.path).name)], check=True)


class Way(NamedTuple):
    """How clips are encoded: `encoders` at a time, each with `threads` for whole frames, or for slices of a frame."""

    name: str
    preset: str = "veryfast"
    crf: int = 18
    encoders: int = 1
    threads: int = 1
    sliced: bool = False

    @property
    def coding(self) -> list[str]:
        """Words of the command line."""
        params = ["-x264-params", f"sliced-threads={int(self.sliced)}"]
        return [
            "-c:v",
            "libx264",
            "-preset",
            self.preset,
            "-crf",
            str(self.crf),
            "-threads",
            str(self.threads),
            *params,
        ]


PRESETS = tuple(
    Way(f"{preset}, {crf}", preset, crf)
    for preset, crf in (
        ("faster", 18), ("veryfast", 18), ("superfast", 19), ("superfast", 20), ("ultrafast", 16), ("ultrafast", 18),
    )
)  # fmt: skip
THREADS = (
    Way("two encoders with a thread each", encoders=2),
    Way("two encoders with two slices each", encoders=2, threads=2, sliced=True),
    Way("one encoder with two slices", threads=2, sliced=True),
    Way("one encoder with two threads", threads=2),
)


def measure_ways(ways: Sequence[Way], film: Film | None = None, rounds: int = 1) -> list[dict[str, Any]]:
    """Seconds (medians), kB and SSIM of ways to encode all clips of the film, which take turns."""
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as name:
        folder = Path(name)
        film = film or draw_film(folder)
        lossless = CutOptions(crf=0, preset="ultrafast")
        size = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{lossless.width}x{lossless.height}", "-r", "8"]
        raws = []
        for clip in cut_video(film.path, film.row, folder, lossless).clips:
            raws.append(Path(clip.path).with_suffix(".yuv"))
            _ffmpeg("-i", clip.path, *size, str(raws[-1]))
        if not raws:
            raise SystemExit(f"{film.path}: no shot is long enough for a clip ({lossless.min_shot_s:g} s)")
        works = {way: partial(_encode_all, way, raws, size) for way in ways}
        took = interleave(works, rounds, warm_up=False)
        return [_judge_way(way, took[way], raws, size) for way in ways]


def _encode_all(way: Way, raws: list[Path], size: list[str]) -> None:
    def encode(raw: Path) -> None:
        _ffmpeg(*size, "-i", str(raw), *way.coding, str(_name_clip(way, raw)))

    with ThreadPoolExecutor(way.encoders) as pool:
        list(pool.map(encode, raws))


def _judge_way(way: Way, took: list[Took], raws: list[Path], size: list[str]) -> dict[str, Any]:
    files = [_name_clip(way, raw) for raw in raws]
    said = [
        _ffmpeg("-i", str(out), *size, "-i", str(raw), "-lavfi", "ssim", "-f", "null", "-", loud=True)
        for raw, out in zip(raws, files, strict=True)
    ]
    return {
        "way": way.name, "cpu_s": round(spread(cpus(took)).median, 2), "wall_s": spread(walls(took)).round_to(2),
        "kb": round(sum(out.stat().st_size for out in files) / 1000),
        "ssim": round(statistics.mean(float(re.findall(r"All:([0-9.]+)", one)[-1]) for one in said), 4),
    }  # fmt: skip


def _name_clip(way: Way, raw: Path) -> Path:
    return raw.with_name(f"{raw.stem}-{way.name.replace(' ', '-')}.mp4")


def _ffmpeg(*arguments: str, loud: bool = False) -> str:
    quiet = [] if loud else ["-loglevel", "error"]
    done = subprocess.run([ffmpeg_path(), *quiet, "-nostdin", "-y", *arguments], check=True, stderr=subprocess.PIPE)
    return done.stderr.decode(errors="replace")


def _compare(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, and speed-ups with their spread."""
    added = [max(cut - detect, 1e-3) for cut, detect in zip(seconds["cut"], seconds["detect"], strict=True)]
    apart = [detect + clips for detect, clips in zip(seconds["detect"], seconds["per_clip"], strict=True)]
    return {
        **{name: round(spread(one).median, 2) for name, one in seconds.items()},
        "extraction": ratio(seconds["per_clip"], added).round_to(2),
        "whole": ratio(apart, seconds["cut"]).round_to(2),
    }


def main() -> None:
    """Print one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="measure on this file instead of a rendered one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--presets", action="store_true", help="only compare x264 presets")
    parser.add_argument("--threads", action="store_true", help="only compare encoders with threads of their own")
    args = parser.parse_args()
    film = open_film(args.video) if args.video else None
    ways = PRESETS if args.presets else THREADS if args.threads else ()
    print(json.dumps(measure_ways(ways, film, args.rounds) if ways else measure(film, args.rounds), indent=1))


if __name__ == "__main__":
    main()
