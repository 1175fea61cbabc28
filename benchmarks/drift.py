"""Drift of very long videos of the mini model: which hand-over between clips drifts least, and is the meter right?

    OMP_NUM_THREADS=1 python -m benchmarks.drift chains --clips 112   writes benchmarks/results/drift/chains-1-112.*
    OMP_NUM_THREADS=1 python -m benchmarks.drift chains --clips 900   extends the same chains
    python -m benchmarks.drift coverage                               simulated coverage of a slope's interval

Masks are those of a held-out shot of the mini world, played forward and backward: every second clip has the same things
to show. Each column is one chain of clips with the same text, masks and noise; only the hand-over differs.
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.history_noise import sequences
from mvideo_core.base.options import digest
from mvideo_core.cogvideox.adapter_files import adapter_for
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.evaluation.drift_meter import STATISTICS, Trend, fit_trend, frame_statistics, share_of
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.mask_miou import MaskMiou, MaskMiouOptions
from mvideo_core.evaluation.metrics.temporal_flickering import mean_difference
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.generation.loading import load_pipeline
from mvideo_core.generation.long_video import generate_long
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.output import OutputFolder
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.clip import take_frames
from mvideo_core.media.decode import read_clip
from mvideo_core.perception.segmentation import SEGMENTERS

RESULTS = Path("benchmarks/results/drift")
CHAINS = Path("build/bench/drift")
"""The clips are kept here; a repeated run generates and measures only the missing ones."""
SAMPLING: dict[str, Any] = {"steps": 10, "guidance": 3.0}
MASKS_EVERY = 4
"""S_m takes longer than all other statistics, so it is measured on every fourth clip only."""
HANDOVERS: dict[str, dict[str, Any]] = {
    "frames": {},
    "latents": {"handover": "latents"},
    "frames, matched": {"match_statistics": True},
    "latents, matched": {"handover": "latents", "match_statistics": True},
}


def load_mini() -> Any:
    """The mini base with its adapter."""
    pipeline = load_pipeline(BaseOptions(weights="mini", dtype="fp32"), adapter_for("mini")).pipeline
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def extend_chain(
    pipeline: Any, folder: Path, options: GenerateOptions, text: str, masks: MaskSequence, n_clips: int
) -> None:
    """Generate the clips that are still missing."""
    output = OutputFolder(folder, digest([text, options]), overwrite=True)
    if output.n_clips >= n_clips:
        return
    output.video.unlink(missing_ok=True)  # of fewer clips
    generate_long(pipeline, text, masks, options, output)


def measure_chain(
    folder: Path, masks: MaskSequence, new_frames: int, metric: MaskMiou, n_clips: int
) -> dict[str, np.ndarray]:
    """Statistics (K, S), S_m (of every `MASKS_EVERY`-th) and seam (K - 1) of the clips; stored in the folder."""
    kept = folder / "clips" / "figures.json"
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {"statistics": [], "s_m": [], "seam": []}
    paths = sorted((folder / "clips").glob("*.mp4"))
    last = None
    for index in range(len(known["statistics"]), min(n_clips, len(paths))):
        if last is None and index:
            last = read_clip(paths[index - 1])[-1]
        frames_THWC = read_clip(paths[index])[-new_frames:]
        known["statistics"].append(frame_statistics(frames_THWC).mean(axis=0).tolist())
        if index % MASKS_EVERY == 0:
            own = take_frames(masks, range(1 + index * new_frames, 1 + (index + 1) * new_frames))
            video = EvalVideo.of_arrays(frames_THWC, 8.0, EvalItem(id="drift"), own, 8.0)
            known["s_m"].append(metric.score(video).value)
        if last is not None:
            inner = np.mean([mean_difference(a, b) for a, b in pairwise(frames_THWC)])
            known["seam"].append(mean_difference(last, frames_THWC[0]) / max(float(inner), 1e-6))
        last = frames_THWC[-1]
    kept.write_text(json.dumps(known), encoding="utf-8")
    return {name: np.array(value, np.float64) for name, value in known.items()}


def chains(n_clips: int, only: list[str], mask_guidance: float) -> dict[str, dict[str, np.ndarray]]:
    """Generate and measure one chain per hand-over."""
    pipeline = load_mini()
    kind: Any = SEGMENTERS.get("sam2")
    metric = MaskMiou(kind.load(kind.Options(), "cpu"), MaskMiouOptions())
    new_frames = pipeline.format.stride_frames
    text, masks = sequences(1, pipeline.format, n_clips)[0]
    found = {}
    for name in only or HANDOVERS:
        folder = CHAINS / f"mask-guidance-{mask_guidance:g}" / name.replace(", ", "-")
        options = GenerateOptions(**SAMPLING, **HANDOVERS[name], mask_guidance=mask_guidance)
        extend_chain(pipeline, folder, options, text, masks, n_clips)
        found[name] = measure_chain(folder, masks, new_frames, metric, n_clips)
        print(f"{name}: {len(found[name]['statistics'])} clips", flush=True)
    return found


def trends_of(chain: dict[str, np.ndarray]) -> dict[str, Trend]:
    """Trend of every statistic, as shares, and of S_m, from 0 to 1."""
    statistics = {
        name: fit_trend(share_of(name, values_K))
        for name, values_K in zip(STATISTICS, chain["statistics"].T, strict=True)
    }
    thinned = fit_trend(chain["s_m"])
    low, high = (None if end is None else end / MASKS_EVERY for end in (thinned.low, thinned.high))
    return statistics | {"S_m": Trend(thinned.slope / MASKS_EVERY, low, high)}


def chains_table(found: dict[str, dict[str, np.ndarray]]) -> str:
    """Slopes in percent per 100 clips, a star where 0 is outside the interval; then spread, S_m and seam."""
    names = [*STATISTICS, "S_m"]
    lines = ["| | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    trends = {name: trends_of(chain) for name, chain in found.items()}
    for statistic in names:
        cells = [
            f"{1e4 * one.slope:.1f} [{1e4 * one.low:.1f}, {1e4 * one.high:.1f}]{'*' if one.drifts else ''}"
            for one in (trends[name][statistic] for name in found)
            if one.low is not None and one.high is not None
        ]
        lines.append(
            f"| {statistic if statistic == 'S_m' else statistic.replace('_', ' ')}, % per 100 clips | "
            + " | ".join(cells)
            + " |"
        )
    for title, figure in (
        ("clips", lambda one: len(one["statistics"])),
        ("spread of the mean color, gray levels", lambda one: one["statistics"][:, :3].std(axis=0).mean()),
        ("distance of the mean color from clip 1, gray levels", lambda one: _distance(one["statistics"][:, :3])),
        ("sharpness, last quarter over clip 1", lambda one: _last_quarter(one["statistics"][:, 7])),
        ("contrast, last quarter over clip 1", lambda one: _last_quarter(one["statistics"][:, 6])),
        ("S_m, %", lambda one: 100 * one["s_m"].mean()),
        ("seam", lambda one: one["seam"].mean()),
    ):
        lines.append(f"| {title} | " + " | ".join(f"{figure(one):.4g}" for one in found.values()) + " |")
    return "\n".join(lines)


def _distance(means_KC: np.ndarray) -> float:
    return float(np.abs(means_KC[1:] - means_KC[0]).mean())


def _last_quarter(values_K: np.ndarray) -> float:
    return float(values_K[-len(values_K) // 4 :].mean() / values_K[0])


def coverage() -> str:
    """How often the 95% interval of a chain without trend contains 0, in percent: rows clips, columns memory."""
    from scipy.signal import lfilter

    memories = (0.0, 0.5, 0.8, 0.9, 0.95)
    lines = ["| Clips | " + " | ".join(f"memory {one:g}" for one in memories) + " |", "|---" * 6 + "|"]
    for n in (8, 16, 32, 130, 900):
        cells = []
        for memory in memories:
            noise = np.random.default_rng(0).standard_normal((2000, n + 300))
            series = lfilter([1], [1, -memory], noise, axis=1)[:, 300:]
            cells.append(f"{100 * np.mean([not fit_trend(one).drifts for one in series]):.1f}")
        lines.append(f"| {n} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["chains", "coverage"])
    parser.add_argument("--clips", type=int, default=112)
    parser.add_argument("--only", nargs="+", choices=list(HANDOVERS), default=[], help="these hand-overs; default: all")
    parser.add_argument("--mask-guidance", type=float, default=1.0)
    args = parser.parse_args()
    if args.what == "coverage":
        print(coverage())
        return
    found = chains(args.clips, args.only, args.mask_guidance)
    table = chains_table(found)
    RESULTS.mkdir(parents=True, exist_ok=True)
    out = RESULTS / f"chains-{args.mask_guidance:g}-{args.clips}"
    kept = {name: {key: np.round(value, 4).tolist() for key, value in one.items()} for name, one in found.items()}
    out.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    out.with_suffix(".json").write_text(json.dumps(kept) + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
