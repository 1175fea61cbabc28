"""Drift of long videos by noise on their history: ten recursive clips of the mini model at several sigmas.

    OMP_NUM_THREADS=1 python -m benchmarks.history_noise      writes benchmarks/results/history_noise.md and .json
    python -m benchmarks.history_noise --sequences 2 --sigmas 0 0.14 --out build/bench/history

Masks are those of held-out shots of the mini world, two seconds played forward and backward: every clip has the same
things to show, so any change from clip to clip is drift. All rows have the same noise, prompts and masks; the first
clip has no history and is the same in every row. `none` is ten clips without history, for comparison.

For each clip after the first, over its kept frames:
- S_m: overlap of requested and detected masks (mini SAM2), percent;
- color: mean distance of the mean of R, G and B from clip 1, gray levels;
- contrast, sharpness: standard deviation, and mean absolute Laplacian, of luma, relative to clip 1;
- seam: change from the previous clip's last frame, relative to the mean change between frames of the clip; 1 = none.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mvideo_core.base.options import digest
from mvideo_core.cogvideox.adapter_files import adapter_for
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.mask_miou import MaskMiou, MaskMiouOptions
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.generation.loading import load_pipeline
from mvideo_core.generation.long_video import generate_long
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.output import OutputFolder
from mvideo_core.masks import MaskSequence, encode
from mvideo_core.media.decode import read_clip
from mvideo_core.miniworld.world import describe, render_shot, sample_shot
from mvideo_core.perception.segmentation import SEGMENTERS

OUT = Path("benchmarks/results/history_noise")
VIDEOS = Path("build/bench/history_noise")
"""The videos are kept here; a repeated run generates only the missing ones."""
SIGMAS = (0.0, 0.07, 0.14, 0.24, 0.34, 0.5)
CLIPS, SEQUENCES = 10, 6
LAST = 3
"""The `end` columns are means over this many last clips."""
MIN_AREA_FRAC = 0.05
FIGURES = ("s_m", "color", "contrast", "sharpness", "seam")
SAMPLING: dict[str, Any] = {"steps": 15, "guidance": 3.0, "mask_guidance": 3.0}
"""As in deployments/paper/demo.yaml."""


def sequences(count: int, grid: Any, clips: int = CLIPS) -> list[tuple[str, MaskSequence]]:
    """Captions and masks of the first held-out shots whose objects cover MIN_AREA_FRAC of every frame."""
    found: list[tuple[str, MaskSequence]] = []
    period = 2 * grid.stride_frames
    there_and_back = np.abs((np.arange(grid.n_frames(clips)) + grid.stride_frames) % period - grid.stride_frames)
    seed = 0
    while len(found) < count:
        spec = sample_shot(seed, "heldout")
        shot = render_shot(spec, grid.clip_frames, grid.width_px, grid.height_px, fps=grid.fps)
        inside_THW = np.stack([frame.visible.any(axis=0) for frame in shot])
        if inside_THW.mean(axis=(1, 2)).min() >= MIN_AREA_FRAC:
            found.append((describe(spec), encode(inside_THW[there_and_back][:, None])))
        seed += 1
    return found


def clip_figures(frames_THWC: np.ndarray, masks: MaskSequence, stride: int, metric: MaskMiou) -> list[dict[str, float]]:
    """The figures of every clip of a long video; `color`, `contrast`, `sharpness` are not yet relative to clip 1."""
    video = EvalVideo.of_arrays(frames_THWC, 8.0, EvalItem(id="drift"), masks, 8.0)
    overlap_T = metric.score(video).per_frame
    luma_THW = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames_THWC])
    edges_T = np.array([np.abs(cv2.Laplacian(one, cv2.CV_32F)).mean() for one in luma_THW])
    change_T = np.abs(np.diff(frames_THWC.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    found = []
    for start in range(1, len(frames_THWC), stride):
        own = slice(start, start + stride)
        inside = change_T[start : start + stride - 1]
        found.append(
            {
                "s_m": 100 * float(np.mean([one for one in overlap_T[own] if one is not None])),
                "rgb": frames_THWC[own].mean(axis=(0, 1, 2)).tolist(),
                "contrast": float(luma_THW[own].std()),
                "sharpness": float(edges_T[own].mean()),
                "seam": float(change_T[start - 1] / max(inside.mean(), 1e-6)),
            }
        )
    return found


def relative(clips: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Each clip after the first, relative to the first."""
    first = clips[0]
    return [
        {
            "s_m": one["s_m"],
            "color": float(np.abs(np.subtract(one["rgb"], first["rgb"])).mean()),
            "contrast": one["contrast"] / first["contrast"],
            "sharpness": one["sharpness"] / first["sharpness"],
            "seam": one["seam"],
        }
        for one in clips[1:]
    ]


def table(drift: dict[str, np.ndarray]) -> str:
    """Rows of means, with the smallest and largest sequence in brackets.

    Args:
        drift: arrays (sequences, clips after the first, FIGURES) by row name.
    """
    lines = [
        f"| sigma | S_m | S_m, clips {CLIPS - LAST + 1}-{CLIPS} | color | color, clips {CLIPS - LAST + 1}-{CLIPS} | "
        "contrast | sharpness | seam |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures_SKF in drift.items():
        means_F = figures_SKF.mean(axis=(0, 1))
        end_SF = figures_SKF[:, -LAST:].mean(axis=1)
        low, high = end_SF[:, 1].min(), end_SF[:, 1].max()
        lines.append(
            f"| {name} | {means_F[0]:.1f} | {end_SF[:, 0].mean():.1f} | {means_F[1]:.1f} | {end_SF[:, 1].mean():.1f} "
            f"[{low:.1f}, {high:.1f}] | {means_F[2]:.2f} | {means_F[3]:.2f} | {means_F[4]:.2f} |"
        )
    return "\n".join(lines)


def write(drift: dict[str, np.ndarray], out: Path) -> None:
    """The table, and every figure."""
    n_sequences = len(next(iter(drift.values())))
    what = f"Ten clips each, {n_sequences} sequences; columns as `python -m benchmarks.history_noise --help` says."
    rows = {name: np.round(one, 3).tolist() for name, one in drift.items()}
    record = {"figures": FIGURES, "axes": f"sequence, clip (2 to {CLIPS}), figure", "rows": rows}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".md").write_text(f"{what}\n\n{table(drift)}\n", encoding="utf-8")
    out.with_suffix(".json").write_text(json.dumps(record) + "\n", encoding="utf-8")


def measure(sigmas: tuple[float, ...], n_sequences: int) -> Iterator[dict[str, np.ndarray]]:
    """After each sequence, arrays (sequences, clips after the first, FIGURES) by row."""
    base = BaseOptions(weights="mini", dtype="fp32")
    pipeline = load_pipeline(base, adapter_for("mini")).pipeline
    pipeline.set_progress_bar_config(disable=True)
    kind: Any = SEGMENTERS.get("sam2")
    metric = MaskMiou(kind.load(kind.Options(), "cpu"), MaskMiouOptions())
    chosen = sequences(n_sequences, pipeline.format)
    rows: list[tuple[str, dict[str, Any]]] = [("none", {"appearance": False, "motion": False})]
    rows += [(f"{sigma:g}", {"history_sigma": sigma}) for sigma in sigmas]
    drift: dict[str, list[Any]] = {name: [] for name, _ in rows}
    for place, (text, masks) in enumerate(chosen):
        began_s = time.process_time()
        for name, changed in rows:
            options = GenerateOptions(**SAMPLING, **changed, seed=place)
            output = OutputFolder(VIDEOS / name / f"{place:02}", digest([text, options]), overwrite=True)
            frames_THWC = read_clip(generate_long(pipeline, text, masks, options, output))
            clips = relative(clip_figures(frames_THWC, masks, pipeline.format.stride_frames, metric))
            drift[name].append([[one[figure] for figure in FIGURES] for one in clips])
        print(f"sequence {place + 1} of {len(chosen)}: {time.process_time() - began_s:.0f} CPU s", flush=True)
        yield {name: np.array(found) for name, found in drift.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sigmas", type=float, nargs="+", default=SIGMAS)
    parser.add_argument("--sequences", type=int, default=SEQUENCES)
    parser.add_argument("--out", type=Path, default=OUT, help="without extension; .md and .json are written")
    args = parser.parse_args()
    for drift in measure(tuple(args.sigmas), args.sequences):
        write(drift, args.out)
    print(table(drift))


if __name__ == "__main__":
    main()
