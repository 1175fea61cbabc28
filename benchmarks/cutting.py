"""Frames per second of the cut stage compared with decoding alone and PySceneDetect's command line, on one file.

- decode: `ffmpeg -i f -f null -`, the same binary, all cores: the floor, since every frame has to be decoded.
- detect: our guarded decode and the default detector, no clips: what detecting cuts adds.
- cut: `cut_video`, the whole stage: detection, clip frames and H.264 clips from the one decode.
- scenedetect: `scenedetect -i f detect-adaptive list-scenes`; its start-up time (measured with `version`) is
subtracted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.drawing import Film, draw_film, open_film
from benchmarks.timing import Work, cpus, interleave, ratio, spread, walls
from mvideo_core.curation.scenes import SCENE_DETECTORS
from mvideo_core.curation.scenes.cut import CutResult, cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.curation.scenes.stream import Geometry, SmallFrame, VideoStream
from mvideo_core.media.ffmpeg import compile_argv, ffmpeg_path, open_input
from mvideo_core.processes import sandbox

SCENEDETECT = [sys.executable, "-m", "scenedetect"]
NO_LIMITS = sandbox.Limits(wall_s=600)


def measure(film: Film | None = None, rounds: int = 3) -> dict[str, Any]:
    """Frames per second of the four, their ratios to decoding alone, CPU seconds, and whether the cuts are right."""
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        film = film or draw_film(Path(folder))
        clips = Path(folder) / "clips"
        clips.mkdir()
        result = cut_video(film.path, film.row, clips, CutOptions())
        right = cuts_right(film, detect_only(film), result)
        works: dict[str, Work] = {
            "decode": lambda: decode_only(film),
            "detect": lambda: detect_only(film),
            "cut": lambda: cut_video(film.path, film.row, clips, CutOptions()),
            "scenedetect": lambda: scenedetect_cli(film, Path(folder)),
            "start": lambda: subprocess.run([*SCENEDETECT, "version"], check=True, stdout=subprocess.DEVNULL),
        }
        took = interleave(works, rounds, warm_up=False)
    wall, cpu = ({name: of(one) for name, one in took.items()} for of in (walls, cpus))
    for seconds in (wall, cpu):
        start = seconds.pop("start")
        seconds["scenedetect"] = [both - one for both, one in zip(seconds["scenedetect"], start, strict=True)]
    over_decode = {name: ratio(wall["decode"], wall[name]) for name in ("detect", "cut", "scenedetect")}
    return {
        "film": film_facts(film),
        "clips": len(result.clips),
        "cuts_right": right,
        "fps": {name: spread([film.n_frames / s for s in one]).round_to(1) for name, one in wall.items()},
        "cpu_s": {name: round(spread(one).median, 2) for name, one in cpu.items()},
        "spread": {f"{name}_over_decode": one.round_to() for name, one in over_decode.items()},
        "detect_over_decode": round(over_decode["detect"].median, 2),
        "cut_over_decode": round(over_decode["cut"].median, 2),
        "cut_over_scenedetect": round(ratio(wall["scenedetect"], wall["cut"]).median, 2),
        "detect_over_decode_cpu": round(ratio(cpu["decode"], cpu["detect"]).median, 2),
        "cut_over_decode_cpu": round(ratio(cpu["decode"], cpu["cut"]).median, 2),
        "goals": {"detect_over_decode": ">= 0.9", "cut_over_decode": ">= 0.7"},
    }


def film_facts(film: Film) -> dict[str, Any]:
    """What was measured."""
    row = film.row
    return {
        "drawn": film.cuts_s is not None,
        "seconds": round(row.duration_s, 1),
        "frames": film.n_frames,
        "size": f"{row.width}x{row.height}",
        "mbit_per_s": round(film.mbit_per_s, 2),
    }


def decode_only(film: Film) -> None:
    """Decode every frame on all cores and discard it."""
    quiet = [ffmpeg_path(), "-loglevel", "error", "-nostdin"]
    subprocess.run([*quiet, "-i", str(film.path), "-f", "null", "-"], check=True)


def detect_only(film: Film, options: CutOptions | None = None) -> list[float]:
    """Cuts in seconds by the stage's own decode and detector, without the clip stream."""
    import ffmpeg

    options = options or CutOptions()
    detector_type = SCENE_DETECTORS.get(options.detector)
    detector = detector_type(detector_type.options_type())  # type: ignore[call-arg]
    geometry = Geometry(options.small_width, options.small_height, options.width, options.height, options.fps, "cover")
    cuts: list[float] = []
    with film.path.open("rb") as source:
        small = open_input(source.fileno(), threads=options.decode_threads)["V:0"]
        small = small.filter("scale", options.small_width, options.small_height, flags="area").filter("format", "bgr24")
        out = {"format": "nut", "vcodec": "rawvideo", "fps_mode": "passthrough", "enc_time_base": "1:1000000"}
        argv = compile_argv(ffmpeg.output(small, "pipe:1", flush_packets=0, **out), threads=1)
        with sandbox.child(argv, NO_LIMITS, pass_fds=(source.fileno(),)) as running:
            stream = VideoStream(running, "film", NO_LIMITS, geometry)
            for frame in stream:
                assert isinstance(frame, SmallFrame)
                cuts += detector.feed(frame.time_s, frame.bgr)
            stream.close_checked()
    return cuts + detector.finish()


def scenedetect_cli(film: Film, folder: Path) -> None:
    """PySceneDetect's own program: detection and a list of scenes."""
    arguments = ["-q", "-o", str(folder), "-i", str(film.path), "detect-adaptive", "list-scenes"]
    subprocess.run([*SCENEDETECT, *arguments], check=True, stdout=subprocess.DEVNULL)


def cuts_right(film: Film, found: list[float], result: CutResult) -> bool | None:
    """Whether both runs found the rendered cuts, to the frame; None for any other film."""
    if film.cuts_s is None:
        return None
    cut = [one.start_s for one in result.transitions]
    return all(
        len(times) == len(film.cuts_s) and all(abs(a - b) < 1.5 / 30 for a, b in zip(times, film.cuts_s, strict=True))
        for times in (found, cut)
    )


def main() -> None:
    """Print one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="measure on this file instead of a rendered one")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(json.dumps(measure(open_film(args.video) if args.video else None, args.rounds), indent=1))


if __name__ == "__main__":
    main()
