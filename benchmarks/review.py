"""Corrections by a simulated reviewer: clips in the order of expected gain against random order.

    python -m benchmarks.review build/bench/review --clips 24               # continues where it was stopped
    python -m benchmarks.review build/bench/review --clips 24 --at-most 4   # four more clips, then the table

Each clip is a shot of the synthetic world. The mini detector finds objects on its first frame, the mini segmenter
tracks them, and every object with a J&F below 0.85 is corrected once: with its true box, on the frame where most of its
pixels are wrong. One JSON file per clip. The corrections of different objects do not depend on each other, so that any
order can be replayed from these files.

The reviewer looks at one clip at a time. If its worst object has a J&F below 0.85, he corrects that object, and the
clip returns to the queue; otherwise he accepts the clip. Each of the two is one action. Objects that have no masklet
are left out: no order can know of them.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.base.records import ObjectStats
from mvideo_core.curation.pipeline import load_profile
from mvideo_core.engine.loaded_models import load_plugin
from mvideo_core.masks import MaskSequence, MaskWriter
from mvideo_core.masks.boundary import boundary_f
from mvideo_core.masks.measure import pixel_iou
from mvideo_core.media.decode import first_frame, read_frames
from mvideo_core.media.encode import write_mp4
from mvideo_core.miniworld.world import render_shot, sample_shot
from mvideo_core.miniworld.world.make import CRF, PRESET
from mvideo_core.pages.review.order import predict_quality
from mvideo_core.perception.detection import DETECTORS
from mvideo_core.perception.detection.select import select
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.corrections import Objects, correct
from mvideo_core.perception.segmentation.gate import object_stats
from mvideo_core.perception.segmentation.two_way import Spool
from mvideo_core.store.decisions import Decision, LocatedDecision
from mvideo_core.store.scratch import scratch_folder

WIDTH, HEIGHT, FPS, OVERSIZE = 384, 256, 8.0, 2
"""As in the profile `mini`; drawn larger, since edges drawn at clip size would be too sharp."""
GOOD, SAME, SHOWN = 0.85, 0.1, 0.5
DRAWS, SEED = 2000, 0
LEVELS = (0.5, 0.8, 0.9, 1.0)
Sums = dict[str, Any]


class Models:
    """Detector and segmenter of the profile `mini`."""

    def __init__(self) -> None:
        options = load_profile("mini")
        self.detect, self.gate = options.detect, options.segment.gate
        self.detector = load_plugin(DETECTORS, self.detect.detector, self.detect.detector_options)
        self.segmenter = load_plugin(SEGMENTERS, options.segment.segmenter, options.segment.segmenter_options)

    def track(self, video: Path) -> Objects:
        """Objects of the first frame, tracked."""
        frame = first_frame(video)
        boxes = select(self.detector.detect([frame], self.detect.phrases())[0], self.detect, HEIGHT, WIDTH).kept
        writer, scores = MaskWriter(len(boxes), HEIGHT, WIDTH), []
        for masks in self.segmenter.propagate(read_frames(video), HEIGHT, WIDTH, boxes.boxes_xyxy):
            writer.append(masks.masks_NHW)
            scores.append(masks.scores_N)
        return Objects(writer.finish(), np.array(scores, np.float32), list(boxes.labels), boxes.scores.tolist(), {})


def draw(seed: int, split: str, n_frames: int, video: Path) -> MaskSequence:
    """Write one shot; returns the visible part of every object."""
    import cv2

    spec = sample_shot(seed, split, duration_s=n_frames / FPS)  # type: ignore[arg-type]
    writer = MaskWriter(len(spec.actors), HEIGHT, WIDTH)
    pictures = []
    for frame in render_shot(spec, n_frames, OVERSIZE * WIDTH, OVERSIZE * HEIGHT, FPS):
        pictures.append(cv2.resize(frame.rgb, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
        small = [cv2.resize(one.astype(np.uint8) * 255, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) >= 128
                 for one in frame.visible]  # fmt: skip
        writer.append(np.array(small, bool).reshape(-1, HEIGHT, WIDTH))
    write_mp4(iter(pictures), video, FPS, crf=CRF, preset=PRESET)
    return writer.finish()


def measure_clip(seed: int, split: str, n_frames: int, models: Models) -> Sums:
    """J&F of every object that a masklet follows, before and after its correction; good ones are not corrected."""
    with scratch_folder("review") as scratch:
        video = scratch / "clip.mp4"
        true = draw(seed, split, n_frames, video).pixels()
        found = models.track(video)
        seen = found.sequence.pixels()
        owners = masklets_of(true, seen)
        before = {obj: j_and_f(seen[:, index], true[:, obj]) for obj, index in owners.items()}
        prompts = [_prompt(true[:, obj], seen[:, index], index)
                   for obj, index in owners.items() if before[obj] < GOOD]  # fmt: skip
        made = correct(
            found, prompts, models.segmenter, lambda: read_frames(video), lambda: Spool(HEIGHT, WIDTH, scratch)
        ).sequence.pixels()  # fmt: skip
    stats = object_stats(found.sequence, found.scores_TN, found.labels, found.box_scores, models.gate)
    frames = {placed.decision.object: placed.decision.frame for placed in prompts}
    objects = [
        {"masklet": index, "frame": frames.get(index), "before": before[obj],
         "after": j_and_f(made[:, index], true[:, obj]) if index in frames else before[obj]}
        for obj, index in owners.items()
    ]  # fmt: skip
    return {
        "seed": seed, "n_frames": n_frames, "true_objects": true.shape[1], "objects": objects,
        "stats": [one.model_dump(mode="json") for one in stats],
    }  # fmt: skip


def masklets_of(true: np.ndarray, seen: np.ndarray) -> dict[int, int]:
    """True object -> masklet, one to one, by IoU over all frames together; at least `SAME`.

    Args:
        true, seen: bool (T, G, H, W) and (T, P, H, W).
    """
    from scipy.optimize import linear_sum_assignment

    overlap = np.zeros((true.shape[1], seen.shape[1]))
    for g, p in np.ndindex(*overlap.shape):
        both, either = (true[:, g] & seen[:, p]).sum(), (true[:, g] | seen[:, p]).sum()
        overlap[g, p] = both / max(1, either)
    rows, columns = linear_sum_assignment(-overlap)
    return {int(g): int(p) for g, p in zip(rows, columns, strict=True) if overlap[g, p] >= SAME}


def _prompt(true: np.ndarray, seen: np.ndarray, index: int) -> LocatedDecision:
    """The true box on the frame with most wrong pixels, of those that show at least half of the most of the object."""
    shown, wrong = true.sum(axis=(1, 2)), (true ^ seen).sum(axis=(1, 2))
    frame = int(np.where(shown >= SHOWN * shown.max(), wrong, -1).argmax())
    rows, columns = np.nonzero(true[frame])
    box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
    about = {"clip": "0" * 64, "masks": "0" * 16, "object": index, "frame": frame, "box_xyxy": box}
    return LocatedDecision(Decision.parse({"action": "box"} | about, "benchmark"), f"masklet {index}")


def j_and_f(seen: np.ndarray, true: np.ndarray) -> float:
    """Mean of J and F over the clip; (T, H, W) each."""
    pairs = list(zip(seen, true, strict=True))
    return round(float(np.mean([(pixel_iou(*pair) + boundary_f(*pair)) / 2 for pair in pairs])), 5)


def replay(clips: Sequence[Sums], choose: Callable[[list[int], list[set[int]]], int]) -> np.ndarray:
    """Mean J&F over all objects after 0, 1, 2, ... actions.

    Args:
        choose: the next clip, of those not accepted yet, given the masklets corrected in each clip.
    """
    now = [{one["masklet"]: one["before"] for one in clip["objects"]} for clip in clips]
    after = [{one["masklet"]: one["after"] for one in clip["objects"]} for clip in clips]
    done: list[set[int]] = [set() for _ in clips]
    left = [n for n, clip in enumerate(clips) if clip["objects"]]
    total, n_objects = sum(sum(one.values()) for one in now), sum(len(one) for one in now)
    curve = [total]
    while left:
        n = choose(left, done)
        open_ = {masklet: value for masklet, value in now[n].items() if masklet not in done[n]}
        worst = min(open_, key=lambda masklet: open_[masklet], default=-1)
        if worst >= 0 and open_[worst] < GOOD:
            total += after[n][worst] - now[n][worst]
            done[n].add(worst)
        else:
            left.remove(n)
        curve.append(total)
    return np.array(curve) / n_objects


def by_gain(clips: Sequence[Sums]) -> Callable[[list[int], list[set[int]]], int]:
    """The review page's order: most frames times (1 - predicted quality), over the objects not corrected yet."""
    gains = []
    for clip in clips:
        stats = [ObjectStats.model_validate(one) for one in clip["stats"]]
        gains.append({one.object_id: clip["n_frames"] * (1 - predict_quality(one)) for one in stats})

    def choose(left: list[int], done: list[set[int]]) -> int:
        return max(left, key=lambda n: sum(gain for one, gain in gains[n].items() if one not in done[n]))

    return choose


def at_random(rng: np.random.Generator) -> Callable[[list[int], list[set[int]]], int]:
    """Any clip that is not accepted yet."""
    return lambda left, _done: left[int(rng.integers(len(left)))]


def by_truth(clips: Sequence[Sums]) -> Callable[[list[int], list[set[int]]], int]:
    """The clip with the worst object, which only the ground truth knows: a bound."""

    def find_worst(n: int, done: set[int]) -> float:
        return min((one["before"] for one in clips[n]["objects"] if one["masklet"] not in done), default=1.0)

    return lambda left, done: min(left, key=lambda n: find_worst(n, done[n]))


def summary(clips: Sequence[Sums]) -> Sums:
    """Actions that each order needs to reach shares of the whole lift; random order: the mean over many draws."""
    rng = np.random.default_rng(SEED)
    curves = {
        "expected gain": [replay(clips, by_gain(clips))],
        "worst first, by ground truth": [replay(clips, by_truth(clips))],
        "random": [replay(clips, at_random(rng)) for _ in range(DRAWS)],
    }
    start, end = curves["random"][0][0], curves["random"][0][-1]
    needed = {
        name: {str(level): float(np.mean([_first(curve, start + level * (end - start)) for curve in found]))
               for level in LEVELS}
        for name, found in curves.items()
    }  # fmt: skip
    mean = np.mean(curves["random"], axis=0)
    return {
        "clips": len(clips), "objects": sum(len(clip["objects"]) for clip in clips),
        "bad_objects": sum(one["before"] < GOOD for clip in clips for one in clip["objects"]),
        "before": start, "after": end, "actions": len(mean) - 1, "needed": needed,
        "curves": {name: np.round(found[0] if len(found) == 1 else mean, 5).tolist() for name, found in curves.items()},
    }  # fmt: skip


def _first(curve: np.ndarray, level: float) -> int:
    return int(np.argmax(curve >= level - 1e-9))


def table(found: Sums) -> str:
    """Markdown: actions by order and level."""
    lines = [
        f"{found['clips']} clips, {found['objects']} objects, {found['bad_objects']} with J&F below {GOOD}; "
        f"J&F {found['before']:.3f} before, {found['after']:.3f} after all {found['actions']} actions", "",
        "| Actions to reach | " + " | ".join(f"{float(level):.0%} of the lift" for level in LEVELS) + " |",
        "|---|" + "---|" * len(LEVELS),
    ]  # fmt: skip
    for name, needed in found["needed"].items():
        lines.append(f"| {name} | " + " | ".join(f"{needed[str(level)]:.1f}" for level in LEVELS) + " |")
    own, other = found["needed"]["expected gain"], found["needed"]["random"]
    ratios = [f"{own[str(level)] / max(1e-9, other[str(level)]):.2f}" for level in LEVELS]
    return "\n".join([*lines, f"| expected gain / random | {' | '.join(ratios)} |"])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure every clip that has no file yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=49, help="of each clip")
    parser.add_argument("--split", choices=("val", "heldout"), default="heldout")
    parser.add_argument("--at-most", type=int, default=10**6, help="new clips in this call; 0 = only the table")
    given = parser.parse_args(argv)
    files = [given.out / f"{n:05d}.json" for n in range(given.clips)]
    with errors_in_one_line():
        given.out.mkdir(parents=True, exist_ok=True)
        missing = [file for file in files if not file.exists()][: given.at_most]
        models = Models() if missing else None
        for file in missing:
            assert models is not None
            write_whole(file, json.dumps(measure_clip(int(file.stem), given.split, given.frames, models)) + "\n")
        clips = [json.loads(file.read_text("utf-8")) for file in files if file.exists()]
        if clips:
            found = summary(clips)
            write_whole(given.out / "review.json", json.dumps(found, indent=1) + "\n")
            print(table(found))


if __name__ == "__main__":
    main()
