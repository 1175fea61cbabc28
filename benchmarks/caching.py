"""What a cache between denoising steps saves and changes: one clip with mask and history, CPU seconds.

python -m benchmarks.caching                            the mini base, 20 steps; writes build/bench/caching.json
python -m benchmarks.caching --base cogvideox-5b --steps 50

For each cache: fraction of block runs that were skipped, CPU time of the clip relative to no cache (text and VAE
included), and the mean difference of the frames in gray levels of 255.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

OUT = Path("build/bench/caching.json")
CACHES: tuple[tuple[str, float], ...] = (("first_block", 0.04), ("first_block", 0.08), ("first_block", 0.16))
CACHES += (("sea", 0.1), ("sea", 0.2), ("sea", 0.4))


def measure(base: str, steps: int) -> list[dict[str, Any]]:
    """One line per cache."""
    import torch

    from mvideo_core.cogvideox.base import BaseOptions
    from mvideo_core.cogvideox.cache_options import CacheOptions
    from mvideo_core.generation.loading import load_pipeline

    torch.set_num_threads(1)
    pipeline = load_pipeline(BaseOptions(weights=base, dtype="fp32")).pipeline
    pipeline.set_progress_bar_config(disable=True)
    blocks = pipeline.transformer.transformer_blocks
    runs = [0]
    for block in blocks:
        # The feed-forward runs where its block does; the cache hooks the block itself.
        block.ff.register_forward_pre_hook(lambda *_: runs.__setitem__(0, runs[0] + 1))
    conditions = _conditions(pipeline, _clip(pipeline, steps, None))

    def run_once(cache: CacheOptions | None) -> tuple[np.ndarray, float, int]:
        runs[0], began_s = 0, time.process_time()
        frames = _clip(pipeline, steps, cache, **conditions)
        return frames, time.process_time() - began_s, runs[0]

    run_once(None)
    plain, plain_s, _ = run_once(None)
    lines = []
    for kind, threshold in CACHES:
        frames, took_s, ran = run_once(CacheOptions(kind=kind, threshold=threshold))  # type: ignore[arg-type]
        lines.append(
            {
                "kind": kind,
                "threshold": threshold,
                "skipped_frac": round(1 - ran / (steps * len(blocks)), 3),
                "cpu_ratio": round(took_s / plain_s, 3),
                "difference": round(float(np.abs(frames.astype(int) - plain).mean()), 2),
            }
        )
    return lines


def _clip(pipeline: Any, steps: int, cache: Any, **conditions: Any) -> np.ndarray:
    import torch

    source = torch.Generator().manual_seed(0)
    frames: np.ndarray = pipeline(
        "a red ball moves to the right", num_inference_steps=steps, generator=source, cache=cache, **conditions
    )
    return frames


def _conditions(pipeline: Any, before: np.ndarray) -> dict[str, Any]:
    frames, height, width = before.shape[:3]
    mask = np.zeros((frames, height, width), np.bool_)
    for t in range(frames):
        mask[t, height // 4 : height // 2, 2 * t : 2 * t + width // 4] = True
    return {"mask": mask, "appearance_frame": before[-1], "motion_frames": before}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="mini", help="weights, as in `mvideo generate --base`")
    parser.add_argument("--steps", type=int, default=20, help="denoising steps")
    given = parser.parse_args()
    lines = measure(given.base, given.steps)
    for line in lines:
        print("  ".join(f"{name} {value}" for name, value in line.items()))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"base": given.base, "steps": given.steps, "caches": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
