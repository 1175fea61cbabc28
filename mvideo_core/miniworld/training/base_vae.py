"""Train the mini base's AutoencoderKLCogVideoX.

    python -m mvideo_core.miniworld.training.base_vae --out build/mini/base

Renders the world clips to `<out>/data` (about 14 s of CPU time per 100 shots), trains on one thread, writes `<out>/vae`
(a diffusers folder) and `<out>/vae.jsonl` (curve). Rerun the same command to resume. The option `minutes` is CPU time;
on a GPU, wall time.

Training data: frames of the world at clip size, and the other model inputs: mask videos (white on black),
clips at half the size (the motion condition) and single frames (the appearance condition).

Legend: B batch, C channels, T frames, F latent frames, H, W.
"""

import argparse
import logging
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from mvideo_core.base.devices import default_device
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.base.options import Options
from mvideo_core.cogvideox.sizes import size_of
from mvideo_core.miniworld.training.base_data import Clips, render_clips
from mvideo_core.miniworld.training.base_fast import skip_zero_blocks, use_fast_layers
from mvideo_core.miniworld.training.base_start import start_blocks, start_linear_code
from mvideo_core.miniworld.training.option_values import option_values
from mvideo_core.miniworld.training.running_mean import copy_weights, move_mean
from mvideo_core.miniworld.training.timed_run import TimedRun


class Phase(NamedTuple):
    """One part of the schedule.

    Attributes:
        share: fraction of the total time.
        frames: frames per clip; 9 is one chunk of the network, 17 are two, the second using the first one's cache.
        side_frac: size of the crops relative to the clip.
        batch: clips per step.
    """

    name: str
    share: float
    frames: int
    side_frac: float
    batch: int


VALIDATION_SHOTS = 100
CODE_BATCHES = 40
"""Batches of two clips that the linear code is fitted to."""
PHASES = (Phase("crops", 0.4, 9, 0.5, 4), Phase("short", 0.3, 9, 1.0, 2), Phase("whole", 0.3, 17, 1.0, 2))


class VaeOptions(Options):
    """Training options of the mini VAE."""

    minutes: float = Field(
        default=35.0, gt=0, description="total CPU minutes, including resumed runs; sets the learning-rate schedule"
    )
    rate: float = Field(default=1e-3, gt=0, description="peak learning rate (Adam); 2e-3 learns slower")
    warmup_steps: int = Field(default=100, ge=1, description="warmup steps")
    ema: float = Field(default=0.998, ge=0, lt=1, description="decay of the weights' running mean, which is exported")
    kl: float = Field(
        default=3e-4, ge=0, description="weight of the mean KL per latent value; keeps latents near N(0, 1)"
    )
    edges: float = Field(
        default=0.2, ge=0, description="weight of the L1 loss on differences in x, y and time, at two scales"
    )
    squares: float = Field(default=1.0, ge=0, description="weight of the squared error")
    masks_frac: float = Field(default=0.12, ge=0, le=1, description="fraction of clips that are mask videos")
    half_frac: float = Field(default=0.15, ge=0, le=1, description="fraction of steps on half-size clips")
    still_frac: float = Field(default=0.06, ge=0, le=1, description="fraction of steps on single frames")
    encoder_rate_frac: float = Field(
        default=0.1, ge=0, le=1, description="the encoder's learning rate, relative to `rate`; 0 keeps it a linear code"
    )
    encoder_after: float = Field(
        default=0.1, ge=0, lt=1, description="fraction of the minutes after which the encoder is trained, too"
    )
    bfloat16: bool = Field(default=True, description="autocast; 8x faster than fp32 on a CPU with AMX")
    seed: int = Field(default=0, ge=0, description="seed of weights and batches")


class VaeTraining(TimedRun):
    """State of a training run."""

    checkpoint_file, curve_file, weights_key, digits = "vae.pt", "vae.jsonl", "vae", 4

    def __init__(self, out: Path, config: dict[str, Any], options: VaeOptions):
        from diffusers import AutoencoderKLCogVideoX

        self.out, self.options = out, options
        self.device = default_device()
        torch.manual_seed(options.seed)
        self.vae = AutoencoderKLCogVideoX(**config).to(self.device)
        start_blocks(self.vae)
        use_fast_layers(self.vae)
        self.vae.encoder.requires_grad_(options.encoder_rate_frac > 0)
        self.trained = {name: value for name, value in self.vae.named_parameters() if value.requires_grad}
        self.mean = {name: value.detach().clone() for name, value in self.trained.items()}
        parts = (self.vae.encoder, options.encoder_rate_frac), (self.vae.decoder, 1.0)
        self.optimizer = torch.optim.Adam(
            [{"params": list(part.parameters()), "frac": frac} for part, frac in parts if frac],
            lr=options.rate, betas=(0.9, 0.98), fused=True,
        )  # fmt: skip

    def start(self, clips: Clips) -> None:
        """Fit the encoder of a new run to clips and mask videos."""
        rng = np.random.default_rng([self.options.seed, 1])
        phase = Phase("code", 1.0, 9, 1.0, 2)
        options = self.options.model_copy(update={"half_frac": 0.0, "still_frac": 0.0})
        start_linear_code(self.vae.to("cpu"), [draw_batch(clips, rng, phase, options) for _ in range(CODE_BATCHES)])
        self._skip_blocks(self.vae.to(self.device))
        self.mean = {name: value.detach().clone() for name, value in self.trained.items()}

    def train(self, clips: Clips, until_s: float = math.inf, save_every_s: float = 60.0) -> None:
        """Train until the options' minutes are used up, or for `until_s` seconds."""
        done = self.time_limit(self.options.minutes, until_s)
        self.train_until(done, lambda: self._step(clips, self.done_frac()), 100, save_every_s)

    def done_frac(self) -> float:
        """Fraction of the options' minutes used so far."""
        return self.seconds / (60 * self.options.minutes)

    def trains_encoder(self, done: float) -> bool:
        """Whether the encoder is trained, too, at this fraction of the total time; a decoder just begun misleads it."""
        return self.options.encoder_rate_frac > 0 and done >= self.options.encoder_after

    def facts(self) -> dict[str, Any]:
        return {"phase": phase_at(self.done_frac()).name}

    def mean_weights(self) -> Any:
        """A copy with the running mean of the weights, in eval mode."""
        from diffusers import AutoencoderKLCogVideoX

        copy = AutoencoderKLCogVideoX(**dict(self.vae.config)).to(self.device).eval()
        copy.load_state_dict(self.vae.state_dict())
        own = dict(copy.named_parameters())
        copy_weights({name: own[name] for name in self.mean}, self.mean)
        use_fast_layers(copy)
        self._skip_blocks(copy)
        return copy

    def _skip_blocks(self, vae: Any) -> None:
        if self.options.encoder_rate_frac == 0:
            skip_zero_blocks(vae.encoder)

    def weights(self) -> dict[str, Tensor]:
        return self.vae.state_dict()

    def take_weights(self, weights: dict[str, Tensor]) -> None:
        self.vae.load_state_dict(weights)
        self._skip_blocks(self.vae)

    def average(self) -> None:
        move_mean(self.mean, self.trained, self.options.ema, self.step)

    def _step(self, clips: Clips, done: float) -> dict[str, float]:
        options = self.options
        rate = options.rate * min(1.0, (self.step + 1) / options.warmup_steps) * rate_at(done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["frac"]
        rng = np.random.default_rng([options.seed, self.step])
        video = draw_batch(clips, rng, phase_at(done), options).to(self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=options.bfloat16):
            with torch.set_grad_enabled(self.trains_encoder(done)):
                latent = self.vae.encode(video).latent_dist
            shown = self.vae.decode(latent.sample()).sample
        terms = reconstruction_terms(shown.float(), video)
        mean, logvar = latent.mean.float(), latent.logvar.float()
        terms["kl"] = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean()
        weights = {"l1": 1.0, "edges": options.edges, "squares": options.squares, "kl": options.kl}
        loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        norm = self.descend(loss, self.trained.values())
        return {name: float(term.detach()) for name, term in terms.items()} | {"norm": norm}


def phase_at(done: float) -> Phase:
    """The phase at this fraction of the total time."""
    start = 0.0
    for phase in PHASES[:-1]:
        start += phase.share
        if done < start:
            return phase
    return PHASES[-1]


def rate_at(done: float) -> float:
    """Cosine from 1 to 0.02."""
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def draw_batch(clips: Clips, rng: np.random.Generator, phase: Phase, options: VaeOptions) -> Tensor:
    """(B, 3, T, H, W) in [-1, 1]: crops of clips and of mask videos, sometimes at half size or one frame long."""
    kind = rng.random()
    frames, batch, side_frac, half = phase.frames, phase.batch, phase.side_frac, False
    if kind < options.half_frac:
        batch, side_frac, half = max(4, batch), 1.0, True
    elif kind < options.half_frac + options.still_frac:
        frames, batch = 1, 4
    videos = [_draw(clips, rng, frames, side_frac, options.masks_frac) for _ in range(batch)]
    video = to_video(np.stack(videos))
    return F.avg_pool3d(video, (1, 2, 2)) if half else video


def to_video(frames_BTHWC: np.ndarray) -> Tensor:
    """uint8 frames -> (B, 3, T, H, W) float32 in [-1, 1]."""
    return torch.tensor(frames_BTHWC).permute(0, 4, 1, 2, 3).contiguous().float().div_(127.5).sub_(1.0)


def to_frames(video_BCTHW: Tensor) -> np.ndarray:
    """(B, 3, T, H, W) in [-1, 1] -> uint8 frames (B, T, H, W, 3)."""
    levels = video_BCTHW.detach().float().add(1.0).mul(127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 4, 1).cpu().numpy()


def mask_frames(masks_THW: np.ndarray) -> np.ndarray:
    """bool masks -> white on black, (T, H, W, 3) uint8."""
    return np.repeat((masks_THW.astype(np.uint8) * 255)[..., None], 3, axis=-1)


def reconstruction_terms(shown: Tensor, video: Tensor) -> dict[str, Tensor]:
    """Mean absolute error, the same of differences in x, y and time at two scales, and the mean squared error.

    The differences replace a perceptual network: they emphasize outlines and motion, which plain L1 blurs.
    """
    error = shown - video
    small = F.avg_pool3d(error, (1, 2, 2))
    edges = [torch.diff(one, dim=dim).abs().mean() for one in (error, 2 * small) for dim in (3, 4)]
    if error.shape[2] > 1:
        edges.append(torch.diff(error, dim=2).abs().mean())
    return {"l1": error.abs().mean(), "edges": torch.stack(edges).mean(), "squares": error.square().mean()}


def _draw(clips: Clips, rng: np.random.Generator, frames: int, side_frac: float, masks_frac: float) -> np.ndarray:
    index, masked = int(rng.integers(len(clips))), rng.random() < masks_frac
    whole = clips.masks(index) if masked else clips[index]
    first = int(rng.integers(whole.shape[0] - frames + 1))
    height, width = round(whole.shape[1] * side_frac), round(whole.shape[2] * side_frac)
    y, x = int(rng.integers(whole.shape[1] - height + 1)), int(rng.integers(whole.shape[2] - width + 1))
    part = whole[first : first + frames, y : y + height, x : x + width]
    return mask_frames(part) if masked else np.asarray(part)


def train_vae(out: Path, size: str, options: VaeOptions, shots: int, until_s: float = math.inf) -> bool:
    """Render the clips, train, evaluate, write the VAE folder.

    Args:
        size: model size; sets VAE and format.
        shots: training shots to render.
        until_s: maximum training seconds.

    Returns:
        Whether the options' minutes are used up.

    Raises:
        ConfigError: unknown size, or `<out>/data` has clips of another size.
    """
    from mvideo_core.miniworld.training.base_vae_eval import export, measure

    plan = size_of(size)
    size_hw = (plan.format.height_px, plan.format.width_px)
    render_clips(out / "data", VALIDATION_SHOTS, "val", size_hw=size_hw)
    render_clips(out / "data", shots, size_hw=size_hw)
    training = VaeTraining(out, plan.vae, options)
    training.advise(options.bfloat16)
    if not training.resume():
        training.start(Clips(out / "data"))
    training.train(Clips(out / "data"), until_s)
    vae = training.mean_weights()
    training.report({"measured": measure(vae, Clips(out / "data", "val"), out / "vae.png")})
    training.report({"exported": export(vae, Clips(out / "data"), out / "vae", equal=options.encoder_rate_frac > 0)})
    return training.seconds >= 60 * options.minutes


def main() -> None:
    """Render, train, evaluate, write the VAE folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/mini/base"))
    parser.add_argument(
        "--size", default="mini-sincos", help="model size whose VAE to train (mvideo_core/cogvideox/sizes.py)"
    )
    parser.add_argument("--shots", type=int, default=1300, help="training shots to render")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes in this run; rerun to resume")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a training option, as JSON")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    values = option_values(args.set, "--set")
    train_vae(args.out, args.size, VaeOptions.parse(values, where="--set"), args.shots, args.stop_after * 60)


if __name__ == "__main__":
    with errors_in_one_line():
        main()
