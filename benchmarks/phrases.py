"""Phrases per object: color, action and place words against the ground truth of the synthetic world.

    python -m benchmarks.phrases build/bench/phrases --videos 10          # continues where it was stopped
    python -m benchmarks.phrases build/bench/phrases --videos 10 --table  # of what is there

Draws videos one by one and runs the profile `mini` up to the phrases of the captioner `motion`: once with its own
masks, once with the true masks. One JSON file per video; videos and workspaces are deleted. An object counts if it is
in sight in a quarter of the clip's frames. A phrase belongs to the object with the largest overlap over the clip, from
an IoU of 0.5; a phrase without an object is wrong in every word.
"""

import argparse
import functools
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.base.records import ClipRow, ObjectPhrase
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import load_profile, stages_to_run
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.engine import STAGES
from mvideo_core.engine.run import run_stage
from mvideo_core.engine.stage import StageContext
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.codec import encode
from mvideo_core.masks.measure import areas, boxes_xyxy, intersection
from mvideo_core.media.decode import read_frames
from mvideo_core.miniworld.accuracy.captions import PRESENT_FRAC, visible_frac
from mvideo_core.miniworld.accuracy.evidence import by_video
from mvideo_core.miniworld.accuracy.mapping import ClipTruth, clip_truth
from mvideo_core.miniworld.accuracy.workspace import read_rows
from mvideo_core.miniworld.world import make_world
from mvideo_core.perception.captioning.base import CaptionInput
from mvideo_core.perception.captioning.phrases import measure_phrases
from mvideo_core.store.workspace import Workspace

MASKS = ("true masks", "own masks")
WORDS = ("class", "color", "action", "place")
MATCH_IOU, MOSTLY = 0.5, 0.8
Sums = dict[str, int]


def run_video(folder: Path, number: int, split: str) -> dict[str, Sums]:
    """Draw one video, run both, and count."""
    world, workspace = folder / "world", Workspace(str(folder / "ws"))
    make_world(world, 1, seed=number, split=split)  # type: ignore[arg-type]
    options = load_profile("mini", {"caption": {"phrases": True}})
    plan_sources(workspace, SourceOptions(folder=str(world)), options.plan)
    for name in stages_to_run(workspace, options):
        run_stage(workspace, STAGES.get(name), options.of(name), options.run)
        if name == "caption":
            break
    rows = read_rows(workspace, StageContext(workspace, "phrases", folder))
    found: dict[str, Counter[str]] = {name: Counter() for name in MASKS}
    for video in by_video(world / "truth", rows):
        for clip in video.ok_clips:
            truth = clip_truth(video.truth_path, video.truth, clip)
            true_masks = encode(np.stack([
                np.stack([truth.visible(k, one.object_id) for one in truth.objects]) for k in range(truth.n_inside)
            ]))  # fmt: skip
            given = _as_input(clip, truth, true_masks, rows.clip_path(clip))
            pairs = [(one, one.object_id) for one in measure_phrases(given)]
            _count(truth, true_masks, pairs, found["true masks"])
            caption, masks = video.captions.get(clip.key), video.masks.get(clip.key)
            phrases = caption.phrases if caption is not None and masks is not None else []
            own = rows.open_masks(masks) if phrases and masks is not None else None
            _count(truth, true_masks, _match(phrases, own, true_masks), found["own masks"])
    return {name: dict(counts) for name, counts in found.items()}


def _as_input(clip: ClipRow, truth: ClipTruth, masks: MaskSequence, path: Path) -> CaptionInput:
    boxes_NT4 = boxes_xyxy(masks).astype(np.float32).transpose(1, 0, 2).copy()
    areas_NT = areas(masks).astype(np.float32).T.copy()
    boxes_NT4[areas_NT == 0] = np.nan
    frames = functools.partial(_first_frames, path, masks.n_frames)
    labels = tuple(one.label for one in truth.objects)
    return CaptionInput(
        clip.key, clip.width, clip.height, clip.fps, None, labels, boxes_NT4, areas_NT,
        object_ids=tuple(range(len(labels))), masks=masks, all_frames=frames,
    )  # fmt: skip


def _first_frames(path: Path, n_frames: int) -> Iterator[np.ndarray]:
    for n, frame in enumerate(read_frames(path)):
        if n == n_frames:
            return
        yield frame


def _match(
    phrases: Sequence[ObjectPhrase], own: MaskSequence | None, true: MaskSequence
) -> list[tuple[ObjectPhrase, int]]:
    """Each phrase with the true object of its masklet, -1 if there is none; an object has one phrase at most."""
    if own is None:
        return []
    scores = {
        (number, obj): _iou(own, one.object_id, true, obj)
        for number, one in enumerate(phrases) for obj in range(true.n_objects)
    }  # fmt: skip
    owner = dict.fromkeys(range(len(phrases)), -1)
    for (number, obj), score in sorted(scores.items(), key=lambda item: -item[1]):
        if score >= MATCH_IOU and owner[number] < 0 and obj not in owner.values():
            owner[number] = obj
    return [(one, owner[number]) for number, one in enumerate(phrases)]


def _iou(own: MaskSequence, mine: int, true: MaskSequence, obj: int) -> float:
    """IoU over all frames of the shot together."""
    pairs = [(own.mask_edges(k, mine), true.mask_edges(k, obj)) for k in range(true.n_frames)]
    both = sum(intersection(a, b) for a, b in pairs)
    either = sum(int((a[1::2] - a[::2]).sum() + (b[1::2] - b[::2]).sum()) for a, b in pairs) - both
    return both / either if either else 0.0


def _count(
    truth: ClipTruth, true_masks: MaskSequence, pairs: Sequence[tuple[ObjectPhrase, int]], counts: "Counter[str]"
) -> None:
    """Add one clip: per kind of word, words said, words right, and objects that have one."""
    seen_NT, boxes_TN4 = areas(true_masks).T > 0, boxes_xyxy(true_masks)
    present = {
        one.object_id: {
            "class": one.label,
            "color": {"grey": "gray"}.get(one.color, one.color),
            "action": _true_action(truth, one.object_id),
            "place": _true_place(boxes_TN4[seen_NT[one.object_id], one.object_id], truth.clip.width, truth.clip.height),
        }
        for one in truth.objects if visible_frac(truth, one.object_id) >= PRESENT_FRAC
    }  # fmt: skip
    for kind in WORDS:
        counts[f"{kind} objects"] += sum(bool(words[kind]) for words in present.values())
    for phrase, obj in pairs:
        if (obj >= 0 and obj not in present) or not phrase.phrase:
            continue  # hardly in sight: neither right nor wrong
        said = {
            "class": phrase.label, "color": phrase.color, "action": _said_action(phrase.action),
            "place": phrase.place.partition(",")[0],
        }  # fmt: skip
        for kind in WORDS:
            if obj >= 0 and not present[obj][kind]:
                continue  # the truth is not clear
            counts[f"{kind} said"] += bool(said[kind])
            right = obj >= 0 and said[kind] == present[obj][kind]
            counts[f"{kind} right"] += right
            if not right and obj >= 0:
                counts[f"{kind}: {present[obj][kind]} called {said[kind] or '-'}"] += 1


def _said_action(words: str) -> str:
    """ "left", "right", "still", "back and forth", or the words themselves: nothing here moves in depth."""
    if "closer" in words or "away" in words:
        return words
    if "side to side" in words or ("back" in words and ("left" in words or "right" in words)):
        return "back and forth"
    return next((way for way in ("left", "right") if f"to the {way}" in words), "still")


def _true_action(truth: ClipTruth, obj: int) -> str:
    """The way of an object through the scene during the clip; "" if that is not clear."""
    thing = truth.objects[obj]
    if thing.direction != "back and forth":
        return thing.direction or "still"
    places = []
    for k in range(truth.n_inside):
        box = thing.boxes_xyxy[truth.local(k)]
        if box is not None and box[0] > 0 and box[2] < truth.truth.width:
            x, _, zoom = truth.shot.camera_xyz[truth.local(k)]
            center = (box[0] + box[2]) / 2 - truth.truth.width / 2
            places.append(x + center / (truth.truth.height * zoom))
    if not places:
        return ""
    net, extent = places[-1] - places[0], max(places) - min(places)
    if abs(net) >= MOSTLY * extent:
        return "right" if net > 0 else "left"
    return "back and forth"


def _true_place(boxes_K4: np.ndarray, width: int, height: int) -> str:
    if not len(boxes_K4):
        return ""
    x, y = np.median(boxes_K4[:, 0] + boxes_K4[:, 2]) / (2 * width), np.median(boxes_K4[:, 1] + boxes_K4[:, 3])
    y /= 2 * height
    rows, columns = ["top", "", "bottom"][min(2, int(3 * y))], ["left", "", "right"][min(2, int(3 * x))]
    return f"{rows} {columns}".strip() or "center"


def table(found: Sequence[dict[str, Sums]]) -> str:
    """Markdown: precision and recall of every kind of word, with both kinds of masks, then the confusions."""
    totals = {name: sum((Counter(one[name]) for one in found), Counter[str]()) for name in MASKS}
    head = " | ".join(f"{name}: precision | recall" for name in MASKS)
    lines = [f"| Videos: {len(found)} | {head} |", "|---|" + "---|" * 2 * len(MASKS)]
    for kind in WORDS:
        cells = []
        for counts in totals.values():
            right = counts[f"{kind} right"]
            for of in (counts[f"{kind} said"], counts[f"{kind} objects"]):
                cells.append(f"{right / max(1, of):.3f} ({right} of {of})")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    for name, counts in totals.items():
        wrong = [(n, what) for what, n in counts.items() if ":" in what]
        lines += ["", f"{name}, most frequent mistakes:"]
        lines += [f"- {what}: {n}" for n, what in sorted(wrong, key=lambda one: (-one[0], one[1]))[:12]]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--videos", type=int, default=10)
    parser.add_argument("--first-video", type=int, default=0, help="number of the first video of the split")
    parser.add_argument("--split", choices=("val", "heldout"), default="heldout")
    parser.add_argument("--table", action="store_true", help="only print the table of what is there")
    given = parser.parse_args(argv)
    numbers = range(given.first_video, given.first_video + given.videos)
    files = [given.out / f"{given.split}-{number:05d}.json" for number in numbers]
    with errors_in_one_line():
        given.out.mkdir(parents=True, exist_ok=True)
        for number, file in zip(numbers, files, strict=True):
            if not given.table and not file.exists():
                work = given.out / f"work-{number:05d}"
                shutil.rmtree(work, ignore_errors=True)
                write_whole(file, json.dumps(run_video(work, number, given.split)) + "\n")
                shutil.rmtree(work)
        print(table([json.loads(file.read_text("utf-8")) for file in files if file.exists()]))


if __name__ == "__main__":
    main()
