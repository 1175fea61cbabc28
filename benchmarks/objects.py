"""Objects of whole clips: boxes on first frames only, on keyframes, or where the picture changes.

    python -m benchmarks.objects build/bench/objects --videos 24          # continues where it was stopped
    python -m benchmarks.objects build/bench/objects --videos 24 --table  # of what is there

Draws videos of the synthetic world one by one, runs the pipeline with the profile `mini` up to the masks, once per
mode, and compares with the ground truth. One JSON file per video and mode; videos and workspaces are deleted. The table
has 95% bootstrap intervals over videos, from five videos on.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.base.records import MaskRow
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import load_profile, stages_to_run
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.engine import STAGES
from mvideo_core.engine.run import run_stage
from mvideo_core.engine.stage import StageContext
from mvideo_core.masks.measure import areas
from mvideo_core.miniworld.accuracy.evidence import by_video
from mvideo_core.miniworld.accuracy.mapping import ClipTruth, clip_truth
from mvideo_core.miniworld.accuracy.masklets import MaskCounter
from mvideo_core.miniworld.accuracy.tracking import TrackCounts, total
from mvideo_core.miniworld.accuracy.workspace import read_rows
from mvideo_core.miniworld.world import make_world
from mvideo_core.store.workspace import Workspace

MODES = ("first", "keyframes", "adaptive")
DRAWS, SEED, MIN_VIDEOS = 2000, 0, 5
Sums = dict[str, Any]


def run_video(
    folder: Path, draw: Callable[[Path], Any], modes: Sequence[str], values: dict[str, Any], **stages: dict[str, Any]
) -> dict[str, Sums]:  # fmt: skip
    """Draw one video, run every mode on it, and count.

    Args:
        draw: writes the video and its truth to a folder.
        values: options of detect; stages: options of other stages.
    """
    world, workspace = folder / "world", Workspace(str(folder / "ws"))
    draw(world)
    found: dict[str, Sums] = {}
    for mode in modes:
        options = load_profile("mini", {"detect": {"when": mode, **values}, **stages})
        plan_sources(workspace, SourceOptions(folder=str(world)), options.plan)
        for name in stages_to_run(workspace, options):
            if name == "caption":
                break
            run_stage(workspace, STAGES.get(name), options.of(name), options.run)
        found[mode] = count_video(workspace, world / "truth", folder)
    return found


def count_video(workspace: Workspace, truth_folder: Path, scratch: Path) -> Sums:
    """Sums over the clips of one video, as JSON holds them."""
    rows = read_rows(workspace, StageContext(workspace, "accuracy", scratch))
    counter, away, searched = MaskCounter(match_iou=0.5), np.zeros((2, 2), int), 0
    for video in by_video(truth_folder, rows):
        for clip in video.ok_clips:
            truth, row = clip_truth(video.truth_path, video.truth, clip), video.masks.get(clip.key)
            masks = rows.open_masks(row) if row is not None and row.masks is not None else None
            counter.add(truth, row, masks)
            boxes = video.detections.get(clip.key)
            searched += max(1, len(boxes.searched)) if boxes else 1
            if row is not None and masks is not None and row.tracks:
                away += _absences(truth, row, areas(masks))
    tracking = total(counter.tracking)
    return {
        "clips": counter.n_clips, "frames": counter.n_frames, "searched": searched,
        "objects": len(counter.sightings), "found": sum(one.followed > 0 for one in counter.sightings),
        "half": sum(2 * one.followed >= one.frames for one in counter.sightings),
        "j": sum(one.j for one in counter.sightings), "f": sum(one.f for one in counter.sightings),
        "first_objects": len(counter.followed), "first_followed": sum(one.matched for one in counter.followed),
        "first_jf": sum(one.j_and_f for one in counter.followed if one.matched),
        "tp": tracking.tp_A.tolist(), "fn": tracking.fn_A.tolist(), "fp": tracking.fp_A.tolist(),
        "association": tracking.association_A.tolist(),
        "idtp": tracking.idtp, "idfn": tracking.idfn, "idfp": tracking.idfp, "switches": tracking.switches,
        "crossings": len(counter.identity.crossings), "crossings_kept": sum(c.kept for c in counter.identity.crossings),
        "returns": len(counter.identity.returns), "returns_kept": sum(c.kept for c in counter.identity.returns),
        "away": away.tolist(),
    }  # fmt: skip


def _absences(truth: ClipTruth, row: MaskRow, areas_TN: np.ndarray) -> np.ndarray:
    """Frames out of sight in truth and masks: [hidden or gone in truth][called hidden or gone], over tracked objects.

    An object's masklet is the one with the largest overlap on the frame of its first box.
    """
    counts = np.zeros((2, 2), int)
    for track in row.tracks:
        seen = np.flatnonzero(areas_TN[: truth.n_inside, track.object_id])
        owner = _owner(truth, row, track.object_id, track.first_seen) if len(seen) else -1
        if owner < 0:
            continue
        for called, spans in enumerate((track.hidden, track.gone)):
            for frame in (k for start, end in spans for k in range(start, min(end, truth.n_inside))):
                if not truth.visible(frame, owner).any():
                    counts[int(not truth.amodal(frame, owner).any()), called] += 1
    return counts


def _owner(truth: ClipTruth, row: MaskRow, masklet: int, frame: int) -> int:
    """The object that a masklet's label and first frame belong to; -1 if that is not clear."""
    label = row.objects[masklet].label
    there = [one.object_id for one in truth.objects if one.label == label and truth.visible(frame, one.object_id).any()]
    return there[0] if len(there) == 1 else -1


def figures(sums: Sequence[Sums]) -> dict[str, float]:
    """Figures of several videos together."""
    shared = [key for key in sums[0] if all(key in one for one in sums)]
    whole = {key: np.sum([np.asarray(one[key], float) for one in sums], axis=0) for key in shared}
    tracks = TrackCounts(
        whole["tp"], whole["fn"], whole["fp"], whole["association"], int(whole["idtp"]), int(whole["idfn"]),
        int(whole["idfp"]), int(whole["switches"]),
    )  # fmt: skip
    objects, clips = max(1.0, float(whole["objects"])), max(1.0, float(whole["clips"]))
    return {
        "found": float(whole["found"]) / objects,
        "followed in half of their frames": float(whole["half"]) / objects,
        "J&F, all objects": float(whole["j"] + whole["f"]) / 2 / objects,
        "J&F, followed from the first frame": float(whole["first_jf"]) / max(1.0, float(whole["first_followed"])),
        "HOTA": tracks.hota,
        "DetA": tracks.det_a,
        "AssA": tracks.ass_a,
        "IDF1": tracks.idf1,
        "identity switches per clip": float(whole["switches"]) / clips,
        "crossings kept": float(whole["crossings_kept"]) / max(1.0, float(whole["crossings"])),
        "returns found again": float(whole["returns_kept"]) / max(1.0, float(whole["returns"])),
        "searched frames per clip": float(whole["searched"]) / clips,
    }


def table(found: dict[str, list[Sums]]) -> str:
    """Markdown: a figure per row, a mode per column, with intervals."""
    names = list(found)
    n_videos = len(next(iter(found.values())))
    draws = np.random.default_rng(SEED).integers(n_videos, size=(DRAWS, n_videos))
    middle = {mode: figures(sums) for mode, sums in found.items()}
    drawn = {mode: [figures([sums[n] for n in draw]) for draw in draws] for mode, sums in found.items()}
    lines = [f"| Videos: {n_videos} | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for row in middle[names[0]]:
        cells = []
        for mode in names:
            low, high = np.percentile([one[row] for one in drawn[mode]], [2.5, 97.5])
            interval = f" [{low:.3f}, {high:.3f}]" if n_videos >= MIN_VIDEOS else ""
            cells.append(f"{middle[mode][row]:.3f}{interval}")
        lines.append(f"| {row} | {' | '.join(cells)} |")
    for key, of in (("found", "objects"), ("crossings_kept", "crossings"), ("returns_kept", "returns")):
        counts = [f"{sum(o[key] for o in found[mode])} of {sum(o[of] for o in found[mode])}" for mode in names]
        lines.append(f"| {key.replace('_', ' ')}, counts | {' | '.join(counts)} |")
    away = {mode: np.sum([one["away"] for one in sums], axis=0) for mode, sums in found.items()}
    lines.append("| frames out of sight: hidden, gone called right | " + " | ".join(map(_away, away.values())) + " |")
    return "\n".join(lines)


def _away(counts: np.ndarray) -> str:
    parts = [f"{counts[kind, kind]} of {counts[kind].sum()}" for kind in (0, 1)]
    return ", ".join(parts) if counts.sum() else "-"


def measure(out: Path, split: str, numbers: Sequence[int], modes: Sequence[str], values: dict[str, Any]) -> None:
    """Measure every video that has no file yet."""
    out.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        missing = [mode for mode in modes if not (out / f"{number:05d}-{mode}.json").exists()]
        if missing:
            work = out / f"work-{number:05d}"
            shutil.rmtree(work, ignore_errors=True)
            draw = partial(make_world, n_videos=1, seed=number, split=split)  # type: ignore[arg-type]
            for mode, sums in run_video(work, draw, missing, values).items():
                write_whole(out / f"{number:05d}-{mode}.json", json.dumps(sums) + "\n")
            shutil.rmtree(work)


def read(out: Path, numbers: Sequence[int], modes: Sequence[str]) -> dict[str, list[Sums]]:
    """Sums by mode, of the videos that every mode has."""
    ready: Callable[[int], bool] = lambda n: all((out / f"{n:05d}-{mode}.json").exists() for mode in modes)  # noqa: E731
    done = [number for number in numbers if ready(number)]
    return {mode: [json.loads((out / f"{n:05d}-{mode}.json").read_text("utf-8")) for n in done] for mode in modes}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--first-video", type=int, default=0, help="number of the first video of the split")
    parser.add_argument("--split", choices=("val", "heldout"), default="heldout")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--set", type=json.loads, default={}, help='options of detect as JSON, e.g. {"step_s": 0.5}')
    parser.add_argument("--table", action="store_true", help="only print the table of what is there")
    given = parser.parse_args(argv)
    numbers = range(given.first_video, given.first_video + given.videos)
    with errors_in_one_line():
        if not given.table:
            measure(given.out, given.split, numbers, given.modes, given.set)
        print(table(read(given.out, numbers, given.modes)))


if __name__ == "__main__":
    main()
