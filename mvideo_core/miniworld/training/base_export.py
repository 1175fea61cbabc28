"""Output of the mini base's training: validation line, sample sheet, pipeline folder with model card."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mvideo_core.base.disk import new_folder
from mvideo_core.base.listing import read_lines
from mvideo_core.cogvideox.base import save_base
from mvideo_core.cogvideox.pixels import check_finite
from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel
from mvideo_core.miniworld.training.base_latents import Windows

if TYPE_CHECKING:
    from mvideo_core.miniworld.training.base_text2video import Text2Video

PROMPTS = (
    "A person in red is walking to the right on a green meadow. The camera stays still.",
    "A white boat is sailing to the left by a lake. The camera stays still.",
    "A blue car is driving to the right on a city street. The camera stays still.",
    "A black dog is running to the left in a desert. The camera pans to the left.",
    "A yellow umbrella is swaying on a snowy mountain. The camera zooms in.",
    "An elephant is in view. The elephant starts on the left and moves to the right.",
)
GUIDANCE, STEPS = 4.0, 25


class Exporter:
    """Called periodically during training and at its end; the folder always has a usable model."""

    def __init__(self, run: "Text2Video", windows: Windows):
        self.run, self.windows = run, windows

    def __call__(self) -> None:
        """Write one validation line, `<out>/samples-<step>.png` and `<out>/model`."""
        bins, objects = self.run.validate(self.windows)
        self.run.report({"validation": round(float(np.mean(bins)), 4), "bins": bins, "object_bins": objects})
        with self.run.mean_weights():
            videos = sample(self.run, PROMPTS)
            write_sheet(self.run.out / f"samples-{self.run.step:06d}.png", videos)
            self.run.report({"sample_std": round(float(videos.std()), 1)})
            self.write(self.run.out / "model", bins)

    def write(self, folder: Path, bins: list[float]) -> None:
        """Write the pipeline folder in fp16, replacing it atomically."""
        run = self.run
        halves = {
            "text_encoder": copy.deepcopy(run.text_encoder).to("cpu", torch.float16).eval(),
            "transformer": _widen(run.transformer).to("cpu", torch.float16).eval(),
            "vae": copy.deepcopy(run.base.vae).to("cpu", torch.float16).eval(),
        }
        with new_folder(folder, replace=True) as part:
            save_base(dataclasses.replace(run.base, **halves), part)
            size_mb = sum(path.stat().st_size for path in part.rglob("*") if path.is_file()) / 1e6
            (part / "README.md").write_text(card(run, bins, size_mb), encoding="utf-8")


@torch.no_grad()
def sample(run: "Text2Video", prompts: tuple[str, ...], seed: int = 0, guidance: float = GUIDANCE) -> np.ndarray:
    """Videos (len(prompts), T, H, W, 3) uint8 from diffusers' own pipeline, with DDIM and the current weights."""
    from diffusers import CogVideoXPipeline

    base, form = run.base, run.base.format
    pipeline = CogVideoXPipeline(base.tokenizer, run.text_encoder, base.vae, run.transformer, base.scheduler)
    pipeline.set_progress_bar_config(disable=True)
    draws = [torch.Generator().manual_seed(seed + n) for n in range(len(prompts))]
    with torch.autocast(run.device, torch.bfloat16, enabled=run.options.bfloat16):
        result = pipeline(
            list(prompts), height=form.height_px, width=form.width_px, num_frames=form.clip_frames,
            num_inference_steps=STEPS, guidance_scale=guidance, generator=draws, max_sequence_length=run.length,
            output_type="np",
        )  # fmt: skip
    frames = np.asarray(result.frames, np.float32)
    check_finite(torch.from_numpy(frames), "the base model returned")
    return np.round(frames * 255).astype(np.uint8)


def write_sheet(path: Path, videos_NTHWC: np.ndarray) -> None:
    """One row per video, every fourth frame, three times the size."""
    from PIL import Image

    rows = [np.concatenate(list(video[::4]), axis=1) for video in videos_NTHWC]
    image = Image.fromarray(np.concatenate(rows))
    image.resize((3 * image.width, 3 * image.height), Image.Resampling.NEAREST).save(path)


def card(run: "Text2Video", bins: list[float], size_mb: float) -> str:
    """Model card; all numbers are from this run."""
    count = {
        "transformer": _millions(run.transformer), "text encoder": _millions(run.text_encoder),
        "VAE": _millions(run.base.vae),
    }  # fmt: skip
    form, measured = run.base.format, _last(run.out / "vae.jsonl", "measured")
    size = f"{form.clip_frames} frames of {form.height_px}x{form.width_px} px at {form.fps:g} fps"
    lines = [
        "# MVideo mini base",
        "",
        "A CogVideoX pipeline small enough to train on one CPU core, trained from scratch on the project's mini world:",
        f"text to video, {size}. It exists to exercise the code",
        "and to measure methods against each other; it knows nothing of real video.",
        "Positions: sincos (as in CogVideoX-2b); no RoPE variant was trained.",
        "",
        f"- parameters: {', '.join(f'{name} {value:.2f} M' for name, value in count.items())}; {size_mb:.1f} MB",
        f"- transformer and text encoder: {run.step} steps of {run.options.batch} windows, {run.seconds / 60:.0f} min",
        f"- validation v-loss by timestep, low to high: {', '.join(f'{value:.3f}' for value in bins)}",
        f"- VAE on held-out clips: {json.dumps(measured)}",
        "",
        "Training data: shots of the mini world's train split, 18 COCO classes, none of the seven unseen ones.",
        "Captions: the world's own descriptions and the motion captioner's.",
        "Made by `python -m mvideo_core.miniworld.training.base_vae` and",
        "`python -m mvideo_core.miniworld.training.base_text2video`;",
        "see docs/results/mini_base.md. License: the project's.",
        "",
    ]
    return "\n".join(lines)


def _widen(transformer: Any) -> MVideoTransformer3DModel:
    return MVideoTransformer3DModel.from_base(copy.deepcopy(transformer))


def _millions(module: Any) -> float:
    return float(sum(value.numel() for value in module.parameters()) / 1e6)


def _last(path: Path, key: str) -> Any:
    if not path.is_file():
        return None
    found = [json.loads(line) for line in read_lines(path, "log") if f'"{key}"' in line]
    return found[-1][key] if found else None
