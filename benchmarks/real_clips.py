"""Whole clips of real videos through public architectures with random values: every search, SAM2, EdgeTAM and SAM 3.

    python -m benchmarks.real_clips FOLDER --videos 1 --only "sam2 first" "sam2 keyframes" "edgetam keyframes"

GroundingDINO-T, SAM2.1 tiny, EdgeTAM and SAM 3 have their published size and layout. Values are random, so boxes and
masks mean nothing; this shows that clips of real footage pass all stages, and what it costs. One clip per video. Each
run is one `mvideo run` in its own process; prints a line per step. Weights are deleted at the end; workspaces stay.
A frame takes 7 s with SAM2 on two CPU cores; with SAM 3, two minutes on one, and 5 GiB.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rehearsal import LOOSE_GATE, MVIDEO, Rehearsal, last_line, settings, stage_lines
from mvideo_core.base.listing import visible_files
from mvideo_core.weights.records import FETCHED

DETECTOR = "groundingdino-swint-ogc"
WEIGHTS = {"sam2": "sam2.1-hiera-tiny", "edgetam": "edgetam", "sam3": "sam3"}
RUNS = tuple(f"{segmenter} {when}" for segmenter in WEIGHTS for when in ("first", "keyframes", "adaptive"))


def options(segmenter: str, when: str, frames: int) -> dict[str, Any]:
    """What differs from the profile: short clips, the best box of each searched frame, no limits on masks."""
    chosen: dict[str, Any] = {"weights": WEIGHTS[segmenter]}
    if segmenter == "sam3":
        chosen["match_iou"] = 0
    return {
        "cut": {"min_shot_s": 1, "min_frames": frames, "max_frames": frames, "clips_per_shot": 1},
        "detect": {"when": when, "box_threshold": 0, "max_objects": 1},
        "segment": {"segmenter": segmenter, "segmenter_options": chosen, "gate": LOOSE_GATE},
        "caption": {"captioner": "motion", "phrases": True},
        "shard": {"test_frac": 0, "exclude_terms": []},
    }


def copy_videos(folder: Path, videos: int, out: Path) -> Path:
    """A folder with the first videos."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for file in sorted(visible_files(folder))[:videos]:
        shutil.copyfile(file, out / file.name)
    return out


def measure(folder: Path, runs: Sequence[str], videos: int, frames: int, out: Path, keep: bool) -> int:
    """Write the weights, do the runs; the exit code."""
    weights = (out / "weights").resolve()
    rehearsal = Rehearsal(out, weights)
    chosen = copy_videos(folder, videos, out / "videos")
    published = [sys.executable, "-m", "benchmarks.published", str(weights)]
    ok = True
    for name in (DETECTOR, *dict.fromkeys(WEIGHTS[run.split()[0]] for run in runs)):
        there = (weights / name / FETCHED).is_file()
        ok = ok and (there or rehearsal.run(f"write {name}", [*published, "write", name], last_line))
    for run in runs:
        segmenter, when = run.split()
        argv = [*MVIDEO, "run", "--workspace", str(out / "ws"), "--folder", str(chosen), "--profile", "mvideo-2b"]
        ok = ok and rehearsal.run(run, [*argv, *settings(options(segmenter, when, frames))], stage_lines)
    ok = ok and rehearsal.run("verify", [*MVIDEO, "verify", "--workspace", str(out / "ws"), "--deep"], last_line)
    if not keep:
        shutil.rmtree(weights, ignore_errors=True)
    return 0 if ok else 1


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="videos")
    parser.add_argument("--only", nargs="+", choices=RUNS, default=RUNS, metavar="RUN", help=", ".join(RUNS))
    parser.add_argument("--videos", type=int, default=6, help="how many of the folder, by name")
    parser.add_argument("--frames", type=int, default=9, help="of a clip, 8 n + 1")
    parser.add_argument("--out", type=Path, default=Path("build/real_clips"))
    parser.add_argument("--keep", action="store_true", help="keep the weights")
    args = parser.parse_args()
    return measure(args.folder, args.only, args.videos, args.frames, args.out, args.keep)


if __name__ == "__main__":
    sys.exit(main())
