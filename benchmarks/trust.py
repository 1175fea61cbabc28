"""How far trust can be trusted: on held-out clips of the synthetic world, plain and in a different visual style.

    python -m benchmarks.trust collect build/bench/trust --at-most 300   # repeat until it says that nothing is left
    python -m benchmarks.trust table build/bench/trust --chart docs/images/trust.svg --out benchmarks/results/trust.json

Clips are detected, tracked and measured as in the profile `mini`, one file per clip. Intervals: 95%, by bootstrap over
clips.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.base.svg import chart, polyline, text, tick
from mvideo_core.miniworld.training.trust_data import Clip, Collector, Labeled, read_clip
from mvideo_core.miniworld.training.trust_trees import WRONG_IOU, auroc
from mvideo_core.perception.segmentation.trust import TrustModel, read_model

FIRST_SEED = 700_000
SETS = {
    "held-out": Clip("heldout", FIRST_SEED),
    "held-out, keyframes": Clip("heldout", FIRST_SEED + 10_000, "plain", "keyframes"),
    "shifted look": Clip("heldout", FIRST_SEED + 20_000, "shifted"),
}
"""The first clip of each set; the others have the seeds after it."""
EVERY = {"held-out": 1, "held-out, keyframes": 4, "shifted look": 1}
"""One clip for every how many of the first set."""
DRAWS = 1000
COLORS = ("#3977c4", "#1f8a5b", "#c23b3b")


class Masks(NamedTuple):
    """All masks of a clip: predicted and true IoU, and what today's gate knows of them.

    Attributes:
        trust, mean_trust: of the mask, and mean of its masklet.
        j: with the truth.
        score, mean_score: the segmenter's score of the mask, and mean of its masklet.
        kept: the gate without trust keeps the masklet.
    """

    trust: np.ndarray
    mean_trust: np.ndarray
    j: np.ndarray
    score: np.ndarray
    mean_score: np.ndarray
    kept: np.ndarray


def masks_of(model: TrustModel, clip: Labeled) -> Masks:
    """All masks of a clip, in one line."""
    trust = model.predict(clip.features)
    known = ~np.isnan(clip.j) & ~np.isnan(trust)
    means = np.nansum(trust, axis=0) / np.maximum(1, (~np.isnan(trust)).sum(axis=0))
    spread = lambda values: np.broadcast_to(values, trust.shape)[known]  # noqa: E731
    return Masks(trust[known], spread(means), clip.j[known], clip.features[..., 0][known], spread(clip.gate[:, 0]),
                 spread(clip.gate[:, 3] > 0))  # fmt: skip


def figures(clips: Sequence[Masks], model: TrustModel) -> dict[str, float]:
    """Figures of several clips together."""
    all_ = Masks(*(np.concatenate(column) for column in zip(*clips, strict=True)))
    wrong, right, limit = all_.j < WRONG_IOU, all_.j >= model.bounds.iou, model.bounds
    found = {"masks": float(len(all_.j)), "masks with J < 0.5": float(wrong.mean())}
    ranks = {"trust": all_.trust, "score of the mask": all_.score, "mean score of the masklet (gate)": all_.mean_score}
    for name, score in ranks.items():
        found[f"AUROC, J < 0.5: {name}"] = auroc(score, wrong)
    keeps = {"every mask": np.ones(len(right), bool), "gate without trust": all_.kept}
    if limit.frames <= 1:
        keeps[f"trust of the mask >= {limit.frames:g}"] = all_.trust >= limit.frames
    if limit.masklets <= 1:
        keeps[f"mean trust of the masklet >= {limit.masklets:g}"] = all_.mean_trust >= limit.masklets
    for name, kept in keeps.items():
        found[f"{name}: share with J >= {limit.iou:g}"] = float(right[kept].mean()) if kept.any() else float("nan")
        found[f"{name}: kept"] = float(kept.mean())
    found["mean error of trust"] = float(np.abs(all_.trust - all_.j).mean())
    return found


def reliability(clips: Sequence[Masks], n_bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean trust, mean J, masks) of equal parts of the range of trust."""
    trust, j = np.concatenate([one.trust for one in clips]), np.concatenate([one.j for one in clips])
    place = np.minimum((trust * n_bins).astype(int), n_bins - 1)
    return [
        (float(trust[place == n].mean()), float(j[place == n].mean()), int((place == n).sum()))
        for n in range(n_bins)
        if (place == n).any()
    ]


def collect(folder: Path, n_clips: int, at_most_s: float) -> int:
    """Measure clips that have no file yet; returns how many are left."""
    began_s = time.monotonic()
    missing = [clip for clip in _clips(n_clips) if not (folder / f"{clip.name}.npz").exists()]
    collector = Collector() if missing else None
    while missing and collector and time.monotonic() - began_s < at_most_s:
        collector.collect(missing.pop(0), folder)
    return len(missing)


def _clips(n_clips: int) -> Iterator[Clip]:
    """Clips of all sets in turn."""
    for number in range(n_clips):
        for name, first in SETS.items():
            if number % EVERY[name] == EVERY[name] - 1:
                yield first._replace(seed=first.seed + number // EVERY[name])


def table(found: dict[str, list[Masks]], model: TrustModel) -> tuple[str, dict[str, dict[str, list[float]]]]:
    """Markdown, and the same figures with their intervals by set."""
    rng = np.random.default_rng(0)
    values: dict[str, dict[str, list[float]]] = {}
    for name, clips in found.items():
        drawn = [figures([clips[n] for n in rng.integers(len(clips), size=len(clips))], model) for _ in range(DRAWS)]
        values[name] = {
            row: [value, *_interval([one[row] for one in drawn])] for row, value in figures(clips, model).items()
        }
    heads = [f"{name}: {len(clips)} clips" for name, clips in found.items()]
    lines = [f"| | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for row in next(iter(values.values())):
        if row == "masks":
            cells = [f"{one[row][0]:,.0f}" for one in values.values()]
        else:
            cells = ["{:.3f} [{:.3f}, {:.3f}]".format(*one[row]) for one in values.values()]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines), values


def _interval(drawn: Sequence[float]) -> list[float]:
    """95% of the values, without those of draws in which nothing was kept."""
    known = [value for value in drawn if not np.isnan(value)]
    return np.percentile(known or [np.nan], [2.5, 97.5]).tolist()


def calibration_chart(found: dict[str, list[Masks]]) -> str:
    """Mean J by trust, a line per set, as SVG."""
    side, left, top = 320, 50, 12
    x, y = (lambda value: left + side * value), (lambda value: top + side * (1 - value))
    parts = [tick(y(value), f"{value:g}", left, left + side) for value in (0, 0.25, 0.5, 0.75, 1)]
    parts += [text(x(value), top + side + 20, f"{value:g}", "middle") for value in (0, 0.5, 1)]
    parts.append(text(x(0.5), top + side + 40, "trust (predicted J)", "middle"))
    parts.append(text(left, top + side + 40, "J", "end"))
    parts.append(polyline([(x(0), y(0)), (x(1), y(1))], "#888", 1))
    for n, (name, clips) in enumerate(found.items()):
        points = [(x(trust), y(j)) for trust, j, _ in reliability(clips)]
        parts.append(polyline(points, COLORS[n], 2.5))
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{COLORS[n]}"/>' for a, b in points]
        parts.append(text(x(0.03), top + 20 + 20 * n, name, fill=COLORS[n]))
    spoken = "Mean IoU with the truth against predicted IoU; points on the diagonal are calibrated"
    return chart(left + side + 16, top + side + 50, spoken, parts, 14, "svg{background:#fff;color:#222}")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("collect", "table"))
    parser.add_argument("folder", type=Path, help="of the measured clips")
    parser.add_argument("--clips", type=int, default=60, help="of the first set")
    parser.add_argument("--at-most", type=float, default=1e9, help="collect: start no clip after this time, seconds")
    parser.add_argument("--model", default="mini", help="table: the fit")
    parser.add_argument("--chart", type=Path, help="table: SVG file of the calibration plot")
    parser.add_argument("--out", type=Path, help="table: JSON file of all figures")
    given = parser.parse_args(argv)
    with errors_in_one_line():
        if given.what == "collect":
            left = collect(given.folder, given.clips, given.at_most)
            print(f"{left} clips left" if left else "nothing is left")
            return
        model = read_model(given.model)
        found = {
            name: [masks_of(model, read_clip(path)) for path in _files(given.folder, first)]
            for name, first in SETS.items()
        }
        found = {name: [one for one in clips if len(one.j)] for name, clips in found.items() if clips}
        text_, values = table(found, model)
        print(text_)
        if given.out:
            lines = {name: reliability(clips) for name, clips in found.items()}
            result = {"model": model.data, "bounds": model.bounds.model_dump(), "figures": values, "calibration": lines}
            write_whole(given.out, json.dumps(result, indent=1) + "\n")
        if given.chart:
            write_whole(given.chart, calibration_chart(found) + "\n")


def _files(folder: Path, first: Clip) -> list[Path]:
    return sorted(folder.glob(f"{first.split}-{first.look}-{first.when}-*.npz"))


if __name__ == "__main__":
    main()
