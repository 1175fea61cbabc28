"""`make bench`: all measurements of the data pipeline, into build/bench/data.json; a table and one summary line.

python -m benchmarks.data                          all, some minutes on two cores
python -m benchmarks.data --only cutting,codec     some of them
python -m benchmarks.data --video my.mp4           cutting and extraction on your own file
python -m benchmarks.data --store                  also benchmarks/results/<date>-data.json, the past of later runs
"""

import argparse
import contextlib
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import regression
from benchmarks.drawing import Film, draw_film, open_film
from mvideo_core.media.ffmpeg import ffmpeg_path

OUT = Path("build/bench/data.json")
PACKAGES = (
    "numpy",
    "torch",
    "sam2",
    "scenedetect-headless",
    "av",
    "imageio-ffmpeg",
    "webdataset",
    "pycocotools",
    "pyarrow",
)
ON_FILM = ("cutting", "extraction")
NAMES = ("codec", "shards", *ON_FILM, "segmenting", "segment_memory", "planning", "orchestration", "stage_profile")
_GOAL = re.compile(r"\s*(<=|>=|<|>)\s*([0-9.]+)\s*")
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda value, limit: value <= limit,
    ">=": lambda value, limit: value >= limit,
    "<": lambda value, limit: value < limit,
    ">": lambda value, limit: value > limit,
}


def run_all(
    names: Sequence[str],
    sizes: Mapping[str, Mapping[str, Any]] | None = None,
    video: Path | None = None,
    on_measured: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """Every named measurement, each with its goals judged.

    Args:
        names: of `NAMES`.
        sizes: keyword arguments of each `measure`, and of the rendered "film"; empty means full size.
        video: file for cutting and extraction instead of the rendered film.
        on_measured: called with the report after each measurement.
    """
    report: dict[str, Any] = {"date": now(), "machine": machine(), "measurements": {}}
    sizes = sizes or {}
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        film = _film(names, Path(folder), video, sizes.get("film", {}))
        for name in names:
            print(f"{name} ...", file=sys.stderr, flush=True)
            given = dict(sizes.get(name, {})) | ({"film": film} if name in ON_FILM else {})
            report["measurements"][name] = _one(name, given)
            on_measured(report)
    return report


def _one(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """One measurement with its date, how long it took, the machine's load before and after, and its goals judged."""
    date, load, start_s = now(), os.getloadavg()[0], time.perf_counter()
    measured = judge(importlib.import_module(f"benchmarks.{name}").measure(**given))
    took_s = round(time.perf_counter() - start_s, 1)
    return measured | {"date": date, "took_s": took_s, "load": [round(load, 1), round(os.getloadavg()[0], 1)]}


def machine() -> dict[str, Any]:
    """The machine: load is the queue of runnable threads; above the number of cores, the machine is busy."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_name(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "ffmpeg": Path(ffmpeg_path()).name,
        "load_at_start": round(os.getloadavg()[0], 1),
        "packages": versions,
    }


def holds(value: float, goal: str) -> bool:
    """Whether a value meets a goal such as ">= 0.9".

    Raises:
        ValueError: not in that form.
    """
    found = _GOAL.fullmatch(goal)
    if not found:
        raise ValueError(f"goal {goal!r}: expected <, <=, > or >= and a number")
    return _HOLDS[found[1]](value, float(found[2]))


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a Markdown table, one goal a row."""
    yield "| measurement | value | goal | reached |"
    yield "|---|---|---|---|"
    for name, one in report["measurements"].items():
        for goal, limit in one["goals"].items():
            yield f"| {name}: {goal} | {one[goal]:g} | {limit} | {'yes' if one['reached'][goal] else 'no'} |"


def summary(report: Mapping[str, Any], path: Path) -> str:
    """The last line."""
    reached = [met for one in report["measurements"].values() for met in one["reached"].values()]
    compared = report.get("compared")
    worse = sum(one["verdict"] in ("worse", "missing") for one in compared["changes"]) if compared else 0
    against = f", {worse} worse than in {', '.join(compared['with'])}" if compared and compared["with"] else ""
    return f"make bench: {sum(reached)} of {len(reached)} goals reached{against}, {path}"


def judge(measured: dict[str, Any]) -> dict[str, Any]:
    """The measurement with `reached`: whether each goal was met."""
    return measured | {"reached": {goal: holds(measured[goal], limit) for goal, limit in measured["goals"].items()}}


def write_report(measurements: Mapping[str, Any], path: Path) -> None:
    """Write judged measurements of one file, compare them with the last dated result, print table and summary."""
    report = {"date": now(), "machine": machine(), "measurements": dict(measurements)}
    lines = list(regression.report(report))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print("\n".join([*table(report), *lines]))
    print(summary(report, path))


def store(report: dict[str, Any], results: Path) -> Path:
    """Write a dated result; one of the same day keeps its other measurements."""
    path = results / f"{report['date'][:10]}-data.json"
    earlier = json.loads(path.read_text(encoding="utf-8"))["measurements"] if path.exists() else {}
    whole = report | {"measurements": earlier | report["measurements"]}
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return path


def now() -> str:
    """UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _film(names: Sequence[str], folder: Path, video: Path | None, size: Mapping[str, Any]) -> Film | None:
    if not set(names) & set(ON_FILM):
        return None
    print("drawing a film ..." if video is None else f"film: {video}", file=sys.stderr, flush=True)
    return draw_film(folder, **size) if video is None else open_film(video)


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(NAMES), help="names, comma between them: " + ", ".join(NAMES))
    parser.add_argument("--video", type=Path, help="measure cutting and extraction on this file")
    parser.add_argument("--keep", action="store_true", help="leave the other measurements of the output file in it")
    parser.add_argument("--store", action="store_true", help="store the result as the past of later runs")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    names = [name for name in args.only.split(",") if name]
    if unknown := sorted(set(names) - set(NAMES)):
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(NAMES)}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if not args.keep:
        args.out.unlink(missing_ok=True)

    def write(report: dict[str, Any]) -> None:
        earlier = json.loads(args.out.read_text())["measurements"] if args.out.exists() else {}
        whole = report | {"measurements": earlier | report["measurements"]}
        args.out.write_text(json.dumps(whole, indent=1) + "\n")

    run_all(names, video=args.video, on_measured=write)
    report = json.loads(args.out.read_text())
    lines = list(regression.report(report))
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    print("\n".join([*table(report), *lines]))
    if args.store:
        print(f"stored: {store(report, regression.RESULTS)}")
    print(summary(report, args.out))


if __name__ == "__main__":
    main()
