"""Short trials of VAE configurations for the mini base, each with the same CPU time, one after another.

    export MVIDEO_CPU_KERNELS=native OMP_NUM_THREADS=1
    python -m benchmarks.mini_vae_trials --minutes 8            # writes build/bench/vae-trials/trials.json
    python -m benchmarks.mini_vae_trials --steps-only           # writes build/bench/vae-trials/steps.json

A trial trains like `mvideo_core.miniworld.training.base_vae`, with its whole schedule in the given minutes, and is
measured on held-out clips. After a stop, the same command resumes in the middle of a trial. `--steps-only` trains
nothing: it times a training step of the text-to-video transformer for each configuration's latents.
"""

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mvideo_core.cogvideox.sizes import mini_vae, size_of
from mvideo_core.cogvideox.video_format import latent_frames, spatial_stride
from mvideo_core.miniworld.training.base_data import WINDOW_FRAMES, Clips, render_clips
from mvideo_core.miniworld.training.base_vae import VaeOptions, VaeTraining
from mvideo_core.miniworld.training.base_vae_eval import measure

OUT = Path("build/bench/vae-trials")
BATCH = 16


class Trial(NamedTuple):
    """One configuration.

    Attributes:
        size_hw: of the clips, px.
        channels: of the VAE's blocks; the sides are halved between them.
        latent_channels: of the latents.
        patch: latent cells per token, in both directions, in the transformer that follows.
        heads, layers: of that transformer; heads are 32 wide.
    """

    size_hw: tuple[int, int]
    channels: tuple[int, ...]
    latent_channels: int
    patch: int
    heads: int = 6
    layers: int = 6

    def vae(self) -> dict[str, Any]:
        """Arguments of AutoencoderKLCogVideoX."""
        return mini_vae(self.size_hw, self.channels, self.latent_channels)

    def cells_hw(self) -> tuple[int, int]:
        """Sides of a latent frame."""
        stride = spatial_stride(self.vae())
        return self.size_hw[0] // stride, self.size_hw[1] // stride

    def tokens(self) -> int:
        """Tokens of a clip, in the transformer."""
        height, width = self.cells_hw()
        return latent_frames(WINDOW_FRAMES) * (height // self.patch) * (width // self.patch)


TRIALS: dict[str, Trial] = {
    "8x, 16 channels, 64x96": Trial((64, 96), (8, 16, 32, 32), 16, 2),
    "4x, 10 channels, 64x96, wide": Trial((64, 96), (16, 32, 32), 10, 4),
    "4x, 16 channels, 64x96, wide": Trial((64, 96), (16, 32, 32), 16, 4, heads=10),
    "4x, 16 channels, 64x96": Trial((64, 96), (8, 16, 32), 16, 4),
    "4x, 8 channels, 64x96": Trial((64, 96), (8, 16, 32), 8, 4),
}
TRANSFORMERS: dict[str, Trial] = {  # only timed: by the ceilings, larger frames help little
    "8x, 16 channels, 96x144": Trial((96, 144), (8, 16, 32, 32), 16, 2),
    "4x, 16 channels, 96x144": Trial((96, 144), (8, 16, 32), 16, 4),
    "4x, 16 channels, 64x96, patch 2": Trial((64, 96), (8, 16, 32), 16, 2),
    "4x, 16 channels, 64x96, 8 heads": Trial((64, 96), (8, 16, 32), 16, 4, heads=8),
}


def train(name: str, trial: Trial, minutes: float, out: Path, shots: int) -> dict[str, Any]:
    """Train to the end and measure; the result of a finished trial is read, not recomputed."""
    place = out / name.replace(", ", "-").replace(" ", "-")
    done = place / f"result-{minutes:g}.json"
    if done.is_file():
        found: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return found
    data = out / f"data-{trial.size_hw[0]}x{trial.size_hw[1]}"
    render_clips(data, 40, "val", size_hw=trial.size_hw)
    render_clips(data, shots, size_hw=trial.size_hw)
    place.mkdir(parents=True, exist_ok=True)
    training = VaeTraining(place, trial.vae(), VaeOptions(minutes=minutes))
    if not training.resume():
        training.start(Clips(data))
    training.train(Clips(data))
    measured = measure(training.mean_weights(), Clips(data, "val"), place / "sheet.png", n_windows=24)
    values = sum(value.numel() for value in training.vae.parameters())
    result = {"trial": name, "minutes": minutes, "steps": training.step, "parameters": values} | measured
    done.write_text(json.dumps(result) + "\n", encoding="utf-8")
    return result


def step_cost(trial: Trial, rounds: int = 3) -> tuple[float, int]:
    """(CPU seconds of one training step with BATCH clips of these latents, parameters) of the transformer that follows.

    The seconds are the minimum of several steps.
    """
    from diffusers import CogVideoXTransformer3DModel

    height, width = trial.cells_hw()
    plain = dict(size_of("mini-sincos").transformer) | {
        "in_channels": trial.latent_channels, "out_channels": trial.latent_channels, "patch_size": trial.patch,
        "sample_height": height, "sample_width": width, "num_attention_heads": trial.heads, "num_layers": trial.layers,
    }  # fmt: skip
    model = CogVideoXTransformer3DModel(**plain)
    latents = torch.randn(BATCH, latent_frames(WINDOW_FRAMES), trial.latent_channels, height, width)
    text = torch.randn(BATCH, plain["max_text_seq_length"], plain["text_embed_dim"])
    took = []
    for _ in range(rounds):
        began_s = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            shown = model(latents, text, torch.full((BATCH,), 500), return_dict=False)[0]
        shown.float().square().mean().backward()
        took.append(time.process_time() - began_s)
    return min(took), sum(value.numel() for value in model.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="CPU minutes per trial")
    parser.add_argument("--shots", type=int, default=120, help="training shots to render at each size")
    parser.add_argument("--steps-only", action="store_true", help="only time the transformer's steps, train nothing")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, trial in (TRIALS | TRANSFORMERS if args.steps_only else TRIALS).items():
        if args.steps_only:
            seconds, count = step_cost(trial)
            rows.append({"trial": name, "tokens": trial.tokens(), "step_s": round(seconds, 2), "parameters": count})
        else:
            rows.append(train(name, trial, args.minutes, args.out, args.shots))
        print(json.dumps(rows[-1]), flush=True)
    file = "steps.json" if args.steps_only else "trials.json"
    (args.out / file).write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
