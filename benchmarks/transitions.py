"""Fits the weights with which the cut stage finds slow transitions, and compares them with the shipped ones.

    python -m benchmarks.transitions blends --out build/bench/blends.json
    python -m benchmarks.transitions wipes --out build/bench/wipes.json

"blends" are the dissolves and fades of `curation.scenes.gradual`, "wipes" the transitions of `curation.scenes.wipes`.

Draws short videos of the world's split `train`, measures windows as the finder does, and fits a logistic regression:
windows that cover a transition (or one half of a fade) against windows that touch none. Windows that cover one in part
are left out. Then the finder runs with both sets of weights over videos of the split `heldout`. Last line: F1 of both.
The shipped weights change only by hand, in `WEIGHTS` of the finder's file.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.transition_videos import Finder, Video, draw_video
from benchmarks.transition_windows import Labeled, fit_logistic, label_blends, label_wipes
from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.curation.scenes import gradual, wipes
from mvideo_core.curation.scenes.plan import Boundary
from mvideo_core.miniworld.accuracy.figures import Score
from mvideo_core.miniworld.world.spec import Split
from mvideo_core.processes.parallel_map import side_by_side

TOLERANCE_S = 0.25


class Task(NamedTuple):
    """What is fitted.

    Attributes:
        label: windows of a video.
        weights: makes weights of numbers.
        shipped: the finder's own.
        finder: a new finder with given weights.
    """

    label: Callable[[Video], Labeled]
    weights: Callable[[Iterable[float]], Any]
    shipped: Any
    finder: Callable[[Any], Any]


TASKS: dict[Finder, Task] = {
    "blends": Task(
        label_blends,
        gradual.BlendWeights._make,
        gradual.WEIGHTS,
        partial(gradual.GradualFinder, gradual.GradualOptions()),
    ),
    "wipes": Task(label_wipes, wipes.WipeWeights._make, wipes.WEIGHTS, partial(wipes.WipeFinder, wipes.WipeOptions())),
}


class Fit(NamedTuple):
    """Weights, and the number of windows they were fitted on."""

    weights: Any
    n_transitions: int
    n_others: int


def fit(task: Task, videos: Iterable[Video], l2: float) -> Fit:
    """Weights from synthetic videos.

    Raises:
        ConfigError: they hold no transition.
    """
    parts = [task.label(video) for video in videos]
    labels = np.concatenate([np.zeros(0, np.int64), *(one.labels for one in parts)])
    if labels.sum() == 0:
        raise ConfigError(f"no slow transition in {len(parts)} training videos; draw more videos or more shots")
    weights = fit_logistic(np.concatenate([one.measures for one in parts]), labels, l2)
    return Fit(task.weights(weights), int(labels.sum()), int((1 - labels).sum()))


def find_spans(task: Task, video: Video, weights: Any) -> list[Boundary]:
    """Transitions that the finder reports."""
    finder, spans = task.finder(weights), []
    for number, frame in enumerate(video.frames_THWC):
        spans += finder.feed(float(number / video.fps), frame)
    return [*spans, *finder.finish()]


def score(task: Task, videos: Iterable[Video], weights: Any) -> Score:
    """Slow transitions found (a span touches one), and spans further than `TOLERANCE_S` from any join."""
    hits = misses = strange = 0
    for video in videos:
        spans = find_spans(task, video, weights)
        rate = float(video.fps)
        for kind, start, end in video.joins:
            if kind != "hard":
                touched = any(one.start_s < end / rate and one.end_s > start / rate for one in spans)
                hits, misses = hits + touched, misses + (not touched)
        strange += sum(
            not any(
                one.start_s <= end / rate + TOLERANCE_S and one.end_s >= start / rate - TOLERANCE_S
                for _, start, end in video.joins
            )
            for one in spans
        )
    return Score.of(hits, misses, strange)


def compare(task: Task, train: Iterable[Video], heldout: Sequence[Video], l2: float) -> dict[str, Any]:
    """The fit and both scores, as JSON holds them."""
    fitted = fit(task, train, l2)
    return {
        "windows": {"transitions": fitted.n_transitions, "others": fitted.n_others},
        "heldout_videos": len(heldout),
        "fitted": {"weights": fitted.weights._asdict()} | score(task, heldout, fitted.weights).model_dump(),
        "shipped": {"weights": task.shipped._asdict()} | score(task, heldout, task.shipped).model_dump(),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Draw, fit, compare, write."""
    given = _arguments(argv)

    def draw(split: Split, count: int) -> list[Video]:
        one = partial(draw_video, split=split, finder=given.finder, shots=given.shots, shot_s=given.shot_s)
        return list(side_by_side(one, list(range(count)), given.processes))

    report = compare(TASKS[given.finder], draw("train", given.train), draw("heldout", given.heldout), given.l2)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(given.out, json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["fitted"]["weights"]))
    fitted, shipped = (_percent(report[name]["f1"]) for name in ("fitted", "shipped"))
    print(f"{given.finder}: F1 {fitted} fitted, {shipped} shipped, {given.out}")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("finder", choices=sorted(TASKS))
    parser.add_argument("--out", type=Path, required=True, help="JSON file for weights and scores")
    parser.add_argument("--train", type=int, default=40, help="videos to fit on")
    parser.add_argument("--heldout", type=int, default=40, help="videos to compare on")
    parser.add_argument("--shots", type=int, default=6, help="shots per video")
    parser.add_argument("--shot-s", type=float, default=4.0, help="seconds per shot at most")
    parser.add_argument("--l2", type=float, default=1e-4, help="pull toward zero")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args(argv)
    for name in ("train", "heldout", "shots"):
        if getattr(given, name) < 1:
            parser.error(f"--{name} {getattr(given, name)}: 1 or more")
    if given.shot_s < 2:
        parser.error(f"--shot-s {given.shot_s:g}: 2 or more, or transitions of up to 1.6 s would overlap")
    return given


def _percent(share: float | None) -> str:
    return "unknown (no transition)" if share is None else f"{100 * share:.1f}%"


if __name__ == "__main__":
    with errors_in_one_line():
        main()
