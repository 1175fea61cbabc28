"""What the control score says of systems whose control is known exactly, and what plain mIoU says of them.

    OMP_NUM_THREADS=1 python -m benchmarks.control_oracles [--draws 200] [--out benchmarks/results/control_oracles]

A draw is a shot of the mini world with two objects (silhouettes of 192x128, 33 frames, 8 fps) and its six standard
edits, fewer where a shot has no room for one. Six oracles draw the base video and the edited ones; a seventh has a
gain of 0.3 to 1 and a lag of 0 to 6 frames, drawn at random. Silhouettes are judged as they are: no segmenter. A
ranking is right when full control (perfect) is above control with one fault (half gain, four frames late, fills the
box), and that above none (ignores the mask, follows the wrong object). Plain mIoU is that of the base videos, as S_m
is measured, and also of all videos of a draw. Writes OUT.json (every draw) and OUT.md (the tables); the same
command again continues at the next draw.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from mvideo_core.evaluation.control.fit import Run
from mvideo_core.evaluation.control.score import score_control
from mvideo_core.evaluation.mask_overlap import OverlapPolicy, frame_iou, mean
from tests.fixtures.control_oracles import FPS, ORACLES, Scene, draw_scenes, follow, is_ranked_right, runs_of

OUT = Path("benchmarks/results/control_oracles")
RANDOM = "random gain and lag"
TRUTH: dict[str, tuple[float, float] | None] = {
    "perfect": (1.0, 0.0),
    "half gain": (0.5, 0.0),
    "four frames late": (1.0, 4.0),
    RANDOM: None,
}
"""Gain and lag of the oracles that have one; RANDOM's are drawn. The center of a filled box has a path of its own."""
PARTS = ("gain", "lag_frames", "leakage", "identity", "outline", "miou_normalized")
GAIN_LIMIT, LAG_LIMIT_FRAMES = 0.02, 0.25


def plain_miou(base: Run, edits: list[Run]) -> tuple[float, float]:
    """mIoU of the base video, and the mean over all videos; objects taken together, as S_m takes them."""
    values = [mean_iou(one) for one in (base, *edits)]
    return values[0], float(np.mean(values))


def mean_iou(run: Run) -> float:
    """Mean over the frames that have a mask, as `mask_miou` gives it, with a segmenter that sees the silhouettes."""
    frames = range(run.wanted.n_frames)
    return mean([frame_iou(run.seen.frame(t), run.wanted.frame(t), OverlapPolicy()) for t in frames])


def measure_draw(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    """Scores of all oracles on one scene."""
    gain, lag = float(rng.uniform(0.3, 1.0)), float(rng.uniform(0, 6))
    systems = ORACLES | {RANDOM: follow(gain, lag)}
    row: dict[str, Any] = {"seed": scene.seed, "edits": list(scene.edits), "random": [gain, lag]}
    row["systems"] = {}
    for name, system in systems.items():
        base, edits = runs_of(system, scene)
        score, parts = score_control(base, edits, FPS)
        miou, miou_all = plain_miou(base, edits)
        row["systems"][name] = {"control": score, **parts, "plain_miou": miou, "plain_miou_all": miou_all}
    for by in ("control", "plain_miou", "plain_miou_all"):
        row[f"right_by_{by}"] = is_ranked_right({name: row["systems"][name][by] for name in ORACLES})
    return row


def recovery_errors(rows: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors of the gain and errors of the lag in frames, absolute, of every draw of an oracle."""
    gains, lags = [], []
    for row in rows:
        found = row["systems"][name]
        true = TRUTH[name] or row["random"]
        gains.append(abs(found["gain"] / true[0] - 1))
        lags.append(abs(found["lag_frames"] - true[1]))
    return np.array(gains), np.array(lags)


def make_tables(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    n = len(rows)
    lines = [
        f"{n} draws of `python -m benchmarks.control_oracles`: means, and for the score [2.5%, 97.5%] of the draws.",
        "",
        "| Oracle | control | gain | lag, frames | leakage | identity | outline | mIoU, normalized "
        "| plain mIoU | of all |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in ORACLES:
        found = [row["systems"][name] for row in rows]
        scores = np.array([one["control"] for one in found])
        low, high = np.percentile(scores, [2.5, 97.5])
        cells = [f"{scores.mean():.3f} [{low:.3f}, {high:.3f}]"]
        for part in (*PARTS, "plain_miou", "plain_miou_all"):
            known = [one[part] for one in found if part in one]
            cells.append(f"{np.mean(known):.3f}" if len(known) > n / 2 else "-")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| Oracle | largest error of the gain | largest error of the lag, frames | draws within limits |"]
    lines.append("|---|---|---|---|")
    for name in TRUTH:
        gains, lags = recovery_errors(rows, name)
        within = int(((gains <= GAIN_LIMIT) & (lags <= LAG_LIMIT_FRAMES)).sum())
        lines.append(f"| {name} | {gains.max():.2%} | {lags.max():.3f} | {within} of {n} |")
    lines += ["", "| Ranked by | right rankings |", "|---|---|"]
    for by, title in (("control", "control score"), ("plain_miou", "plain mIoU of the base video"),
                      ("plain_miou_all", "plain mIoU of all videos")):  # fmt: skip
        lines.append(f"| {title} | {sum(row[f'right_by_{by}'] for row in rows)} of {n} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    held = Path(f"{given.out}.json")
    rows: list[dict[str, Any]] = json.loads(held.read_text(encoding="utf-8")) if held.is_file() else []
    scenes, began_s = draw_scenes(rows[-1]["seed"] + 1 if rows else 0), time.monotonic()
    for number in range(len(rows) + 1, given.draws + 1):
        scene = next(scenes)
        rows.append(measure_draw(scene, np.random.default_rng(scene.seed)))
        print(f"[{number}/{given.draws}] seed {rows[-1]['seed']}: right {rows[-1]['right_by_control']}", flush=True)
        write_results(rows, given.out)
    print(make_tables(rows), f"{time.monotonic() - began_s:.0f} s")


def write_results(rows: list[dict[str, Any]], out: Path) -> None:
    """OUT.json and OUT.md."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rounded = json.loads(json.dumps(rows), parse_float=lambda text: round(float(text), 5))
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rounded)
    Path(f"{out}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    Path(f"{out}.md").write_text(make_tables(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
