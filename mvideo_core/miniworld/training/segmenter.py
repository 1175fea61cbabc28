"""Train the mini SAM2 on the mini world.

    python -m mvideo_core.miniworld.training.segmenter --out build/mini/segmenter

Renders the training shots to `<out>/world` (about 18 s of CPU time and 300 MB per 100), trains, writes `<out>/model`
(config.json, model.safetensors). Rerun the same command to resume. The schedule is in steps
(`segmenter_train.PHASES`); uses a GPU if available, and prepares batches on one core.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from mvideo_core.base.devices import default_device
from mvideo_core.base.disk import write_tensors
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.miniworld.training.segmenter_arch import IMAGE_SIZE, TRACKED_SIZE, config

log = logging.getLogger(__name__)

N_FRAMES = 12
"""Frames per rendered training shot."""


def export(mean_weights: dict[str, Any], folder: Path, image_size: int = TRACKED_SIZE) -> None:
    """Write a model folder; fp16 on disk, fp32 when loaded.

    Args:
        image_size: input side for inference, px.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(image_size), indent=2) + "\n", encoding="utf-8")
    halves = {name: value.to("cpu", torch.float16).contiguous() for name, value in mean_weights.items()}
    write_tensors(folder / "model.safetensors", halves)


def main() -> None:
    """Command line."""
    import torch

    from mvideo_core.miniworld.training.segmenter_train import Run, train
    from mvideo_core.miniworld.training.segmenter_world import render_shards

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/mini/segmenter"))
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the length of every phase; 0.01 = trial")
    parser.add_argument("--shots", type=int, default=2400, help="training shots to render")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and batches")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="", help="cpu or cuda; empty = a GPU if available")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    render_shards(args.out / "world", args.shots, N_FRAMES, IMAGE_SIZE)
    run = Run(args.out, args.seed, args.device or default_device())
    run.resume()
    train(run, args.out / "world", args.scale)
    export(run.mean, args.out / "model")
    log.info("wrote %s after %d steps and %.1f min", args.out / "model", run.step, run.seconds / 60)


if __name__ == "__main__":
    with errors_in_one_line():
        main()
