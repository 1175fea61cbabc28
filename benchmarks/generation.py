"""Cost and memory of long videos: 4 to 64 s at the mini size, each length in its own process.

python -m benchmarks.generation                       writes build/bench/generation.json
python -m benchmarks.generation --steps 10 --base mini

Goals: CPU seconds per clip stay within 10% from the shortest to the longest (cost linear in length), peak memory
    within 5% (flat). The first clip has no history and is cheaper, so the cost per clip excludes it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.data import judge, write_report

OUT = Path("build/bench/generation.json")
SECONDS = (4.0, 16.0, 64.0)


def measure(base: str, steps: int, seconds: tuple[float, ...]) -> dict[str, Any]:
    """CPU seconds of a clip and peak MB at every length, and how they grow."""
    runs = [_child(base, steps, length) for length in seconds]
    per_clip = [run["clip_cpu_s"] for run in runs]
    peaks = [run["peak_mb"] for run in runs]
    return {
        "steps": steps,
        "seconds": list(seconds),
        "clips": [run["clips"] for run in runs],
        "frames": [run["frames"] for run in runs],
        "clip_cpu_s": per_clip,
        "peak_mb": peaks,
        "clip_cost_longest_over_shortest": round(per_clip[-1] / per_clip[0], 3),
        "peak_memory_longest_over_shortest": round(peaks[-1] / peaks[0], 3),
        "goals": {"clip_cost_longest_over_shortest": "<= 1.1", "peak_memory_longest_over_shortest": "<= 1.05"},
    }


def _child(base: str, steps: int, seconds: float) -> dict[str, Any]:
    argv = [
        sys.executable,
        "-m",
        "benchmarks.generation",
        "--child",
        str(seconds),
        "--base",
        base,
        "--steps",
        str(steps),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _one(base: str, steps: int, seconds: float) -> dict[str, Any]:
    import numpy as np
    import torch

    from mvideo_core.cogvideox.base import BaseOptions
    from mvideo_core.generation.loading import load_pipeline
    from mvideo_core.generation.long_video import generate_long
    from mvideo_core.generation.options import GenerateOptions
    from mvideo_core.generation.output import OutputFolder
    from mvideo_core.masks import MaskWriter

    torch.set_num_threads(1)
    pipeline = load_pipeline(BaseOptions(weights=base, dtype="fp32")).pipeline
    pipeline.set_progress_bar_config(disable=True)
    grid, ends_s = pipeline.format, dict[int, float]()

    def note(done: int, _: int) -> None:
        """The last call at a whole number of clips comes after the clip is written."""
        if done % steps == 0:
            ends_s[done // steps] = time.process_time()

    n_frames = grid.n_frames(max(2, round(seconds * grid.fps / grid.stride_frames)))
    writer = MaskWriter(1, grid.height_px, grid.width_px)
    for t in range(n_frames):
        frame = np.zeros((1, grid.height_px, grid.width_px), np.bool_)
        frame[0, 8:40, t % 32 : t % 32 + 24] = True
        writer.append(frame)
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        output = OutputFolder(folder, "bench")
        options = GenerateOptions(steps=steps)
        generate_long(pipeline, "a ball", writer.finish(), options, output, note)
    clips = len(ends_s) - 1
    clip_cpu_s = (ends_s[clips] - ends_s[1]) / (clips - 1)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return {
        "clips": clips,
        "frames": n_frames,
        "clip_cpu_s": round(clip_cpu_s, 3),
        "peak_mb": round(int(peak.split()[1]) / 1024, 1),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="random:mini-sincos", help="weights, as in `mvideo generate --base`")
    parser.add_argument(
        "--steps", type=int, default=4, help="denoising steps per clip; the shape of the cost is the same"
    )
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(_one(args.base, args.steps, args.child)))
        return
    one = measure(args.base, args.steps, SECONDS)
    for length, clips, cpu_s, peak in zip(one["seconds"], one["clips"], one["clip_cpu_s"], one["peak_mb"], strict=True):
        print(f"{length:5.0f} s  {clips:3d} clips  {cpu_s:7.3f} CPU s per clip  {peak:8.1f} MB")
    write_report({f"generation {args.base}": judge(one)}, args.out)


if __name__ == "__main__":
    main()
