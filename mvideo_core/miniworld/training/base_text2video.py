"""Train the mini base's text encoder and transformer.

    python -m mvideo_core.miniworld.training.base_text2video --out build/mini/base

Needs `<out>/vae` from `mvideo_core.miniworld.training.base_vae`. Encodes the rendered clips once to `<out>/latents`,
trains plain text-to-video with the v-prediction loss on one thread, writes `<out>/model` (diffusers CogVideoX pipeline
folder, fp16) and `<out>/text2video.jsonl` (curve, validation loss per timestep bin). Rerun the same command to resume;
`--set minutes=N` is the total CPU time (on a GPU, wall time); a larger value extends a finished run.

The text encoder (0.45 M parameters) is trained together with the transformer: the captions have about 200 different
words, so the encoder learns faster from the transformer's loss than from a second objective, and nothing else in the
project needs the encoder.

Legend: B batch, F latent frames, C channels, h, w latent sides, L tokens.
"""

import argparse
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from mvideo_core.base.devices import default_device
from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.base.options import Options
from mvideo_core.cogvideox.base import Base, BaseOptions, load_base, random_base
from mvideo_core.cogvideox.schedule import Schedule
from mvideo_core.cogvideox.sizes import size_of
from mvideo_core.cogvideox.video_format import spatial_stride
from mvideo_core.miniworld.training.base_latents import WORDINGS, Windows, load_windows, tokens_of
from mvideo_core.miniworld.training.muon import Muon, MuonWithAdamW
from mvideo_core.miniworld.training.option_values import option_values
from mvideo_core.miniworld.training.running_mean import copy_weights, hold, move_mean
from mvideo_core.miniworld.training.timed_run import TimedRun

log = logging.getLogger(__name__)

BINS = 10
"""Number of equal timestep bins, each with its own validation loss."""


AT_LATENTS = ("transformer.patch_embed.proj.", "transformer.proj_out.")
"""Parameters of the layers that read and write latents, which depend on the VAE and the patch size."""


class Text2VideoOptions(Options):
    """Training options of the mini base's transformer and text encoder."""

    minutes: float = Field(default=600.0, gt=0, description="total CPU minutes, including resumed runs")
    decay_frac: float = Field(
        default=0.15, ge=0, le=1, description="final fraction of the minutes, with decaying learning rate"
    )
    rate: float = Field(
        default=2e-3, gt=0, description="learning rate of the blocks' matrices (Muon); of the rest, half of it (AdamW)"
    )
    warmup_steps: int = Field(default=100, ge=1, description="warmup steps")
    batch: int = Field(default=16, ge=1, description="windows a step")
    ema: float = Field(default=0.9995, ge=0, lt=1, description="decay of the weights' running mean, which is exported")
    text_dropout: float = Field(default=0.1, ge=0, le=1, description="fraction of captions replaced by the empty one")
    weight_decay: float = Field(default=0.01, ge=0, description="of matrices")
    bfloat16: bool = Field(default=True, description="autocast; noise, target and loss stay fp32")
    validation_minutes: float = Field(
        default=10.0, gt=0, description="minutes of training between validations and exports"
    )
    start: str | None = Field(
        default=None, description="pipeline folder or name of a base to start from; its VAE and patches may differ"
    )
    seed: int = Field(default=0, ge=0, description="seed of weights and batches")


class Text2Video(TimedRun):
    """State of a training run."""

    checkpoint_file, curve_file = "text2video.pt", "text2video.jsonl"

    def __init__(self, out: Path, size: str, options: Text2VideoOptions, vae: Any):
        self.out, self.size, self.options = out, size, options
        self.device = default_device()
        self.base: Base = random_base(size, options.seed, parts=("text_encoder", "transformer"))
        self.base.vae = vae
        self.text_encoder = self.base.text_encoder.to(self.device).train()
        self.transformer = plain_transformer(self.base).to(self.device).train()
        self.schedule = Schedule.of(self.base.scheduler)
        self.length = size_of(size).text_tokens
        self.empty = tokens_of(self.base.tokenizer, [""], self.length)
        self.parameters = named_parameters(self.text_encoder, self.transformer)
        self.mean = {name: value.detach().clone() for name, value in self.parameters.items()}
        self.optimizer = _optimizer(self.parameters, options)

    def train(self, windows: Windows, until_s: float = math.inf, save_every_s: float = 120.0,
              on_validation: Any = None) -> None:  # fmt: skip
        """Train until the options' minutes are used up, or for `until_s` seconds.

        Args:
            on_validation: called without arguments every `validation_minutes` and at the end.
        """
        validated_s = self.seconds

        def validate() -> None:
            nonlocal validated_s
            if on_validation and self.seconds - validated_s > 60 * self.options.validation_minutes:
                on_validation()
                validated_s = self.seconds

        done = self.time_limit(self.options.minutes, until_s)
        self.train_until(done, lambda: self._step(windows), 100, save_every_s, validate)
        if on_validation:
            on_validation()

    def start(self) -> None:
        """Take the weights of the base that the options name, if any; for a new run.

        Raises:
            ModelError: no such base. ConfigError: its text encoder or blocks have other sizes.
        """
        if self.options.start is None:
            return
        old = load_base(BaseOptions(weights=self.options.start, dtype="fp32"))
        found = named_parameters(old.text_encoder, plain_transformer(old))
        wanted = {name: value for name, value in self.parameters.items() if not name.startswith(AT_LATENTS)}
        other = [name for name, value in wanted.items() if name not in found or found[name].shape != value.shape]
        if other:
            raise ConfigError(
                f"start: {self.options.start} has another width, depth or text encoder ({other[0]} differs); start "
                "from a base with the same, or without one"
            )
        copy_weights(wanted, found)
        copy_weights(self.mean, self.parameters)

    def facts(self) -> dict[str, Any]:
        return {"rate": self.rate()}

    def predict(self, latents: Tensor, tokens_BL: Tensor, noise: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
        """(predicted velocity, target velocity), both fp32 (B, F, C, h, w)."""
        noisy = self.schedule.noisy(latents, noise, t_B)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.options.bfloat16):
            text = self.text_encoder(input_ids=tokens_BL.to(self.device, torch.long)).last_hidden_state
            output = self.transformer(noisy.to(self.device), text, t_B.to(self.device), return_dict=False)[0]
        return output.float(), self.schedule.velocity(latents, noise, t_B).to(self.device)

    @torch.no_grad()
    def validate(self, windows: Windows) -> tuple[list[float], list[float]]:
        """Mean squared error of v per timestep bin, everywhere and on objects; averaged weights, fixed draws."""
        draws = torch.Generator().manual_seed(1)
        count = len(windows.latents_NFChw)
        t_NB = torch.stack([spread_timesteps(draws, BINS, len(self.schedule)) for _ in range(count)])
        noise = torch.randn(windows.latents_NFChw.shape, generator=draws)
        sums, object_sums = torch.zeros(2, BINS, dtype=torch.float64)
        with self.mean_weights():
            for index in range(count):
                latents = windows.latents_NFChw[index].float().expand(BINS, -1, -1, -1, -1)
                tokens = windows.tokens_N3L[index, index % WORDINGS].expand(BINS, -1)
                got, wanted = self.predict(latents, tokens, noise[index].expand_as(latents), t_NB[index])
                errors_BFhw = (got - wanted).square().mean(dim=2).cpu()
                sums += errors_BFhw.mean(dim=(1, 2, 3))
                object_sums += (errors_BFhw * windows.objects_NFhw[index].float()).sum(dim=(1, 2, 3))
        area = float(windows.objects_NFhw.float().sum())
        return _round(sums / count), _round(object_sums / max(area, 1e-6))

    @contextmanager
    def mean_weights(self) -> Iterator[None]:
        """Context manager: the networks use the running mean of their weights, in eval mode."""
        networks = self.text_encoder, self.transformer
        with hold(self.parameters, self.mean):
            for network in networks:
                network.eval()
            try:
                yield
            finally:
                for network in networks:
                    network.train()

    def rate(self) -> float:
        """Current learning rate."""
        left = 1.0 - self.seconds / (60 * self.options.minutes)
        fall = min(1.0, max(left, 0.0) / self.options.decay_frac) if self.options.decay_frac else 1.0
        return self.options.rate * min(1.0, (self.step + 1) / self.options.warmup_steps) * max(fall, 0.01)

    def weights(self) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in self.parameters.items()}

    def take_weights(self, weights: dict[str, Tensor]) -> None:
        copy_weights(self.parameters, weights)

    def average(self) -> None:
        move_mean(self.mean, self.parameters, self.options.ema, self.step)

    def _step(self, windows: Windows) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate() * group["share"]
        draws = torch.Generator().manual_seed(1_000_003 * self.options.seed + self.step)
        batch = draw_batch(windows, self.empty, draws, self.options)
        noise = torch.randn(batch.latents.shape, generator=draws)
        t_B = spread_timesteps(draws, len(noise), len(self.schedule))
        got, wanted = self.predict(batch.latents, batch.tokens_BL, noise, t_B)
        errors_BFhw, objects = (got - wanted).square().mean(dim=2), batch.objects_BFhw.to(self.device)
        self.descend(errors_BFhw.mean(), self.parameters.values())
        errors = errors_BFhw.detach()
        on_objects = (errors * objects).sum() / objects.sum().clamp(min=1e-6)
        return {"loss": float(errors.mean()), "objects": float(on_objects)}


def _round(values: Tensor) -> list[float]:
    return [round(float(value), 4) for value in values]


def plain_transformer(base: Base) -> Any:
    """The CogVideoXTransformer3DModel inside the base, sharing its tensors; trained instead of it."""
    from mvideo_core.cogvideox.fun_control import plain

    return plain(base.transformer)  # type: ignore[arg-type]


def named_parameters(text_encoder: Any, transformer: Any) -> dict[str, torch.nn.Parameter]:
    """All trained parameters by name."""
    found = {f"text_encoder.{name}": value for name, value in text_encoder.named_parameters()}
    return found | {f"transformer.{name}": value for name, value in transformer.named_parameters()}


class Batch(NamedTuple):
    """Windows of one step: latents (B, F, C, h, w) fp32, tokens (B, L), objects (B, F, h, w) fp32."""

    latents: Tensor
    tokens_BL: Tensor
    objects_BFhw: Tensor


def draw_batch(windows: Windows, empty_1L: Tensor, draws: torch.Generator, options: Text2VideoOptions) -> Batch:
    """Random windows, each with one of its captions or with none."""
    index = torch.randint(len(windows.latents_NFChw), (options.batch,), generator=draws)
    wording = torch.multinomial(torch.tensor([0.4, 0.35, 0.25]), options.batch, replacement=True, generator=draws)
    dropped = torch.rand(options.batch, generator=draws) < options.text_dropout
    tokens = torch.where(dropped[:, None], empty_1L, windows.tokens_N3L[index, wording])
    return Batch(windows.latents_NFChw[index].float(), tokens, windows.objects_NFhw[index].float())


def spread_timesteps(draws: torch.Generator, count: int, n_timesteps: int) -> Tensor:
    """(count,) int64: one random timestep from each of `count` equal parts of the schedule.

    A loss depends far more on the timestep than on the window, so that a small batch of independent timesteps has noisy
    gradients (Kingma et al. 2021, arXiv:2107.00630, appendix I.1).
    """
    return ((torch.arange(count) + torch.rand(count, generator=draws)) * (n_timesteps / count)).long()


def load_vae(folder: Path) -> Any:
    """Load the trained VAE, converted to fp32, with the fast layers.

    Raises:
        ModelError: there is no VAE.
    """
    from diffusers import AutoencoderKLCogVideoX

    from mvideo_core.miniworld.training.base_fast import skip_zero_blocks, use_fast_layers

    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder}: no VAE; run `python -m mvideo_core.miniworld.training.base_vae --out {folder.parent}` first"
        )
    vae = AutoencoderKLCogVideoX.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True).eval()
    use_fast_layers(vae)
    skip_zero_blocks(vae.encoder)
    return vae


def _check_size(folder: Path, seen: Any, size: str) -> None:
    wanted = size_of(size).vae
    (stride, channels), (stride_wanted, channels_wanted) = (
        (spatial_stride(config), config["latent_channels"]) for config in (seen, wanted)
    )
    if (stride, channels) != (stride_wanted, channels_wanted):
        raise ConfigError(
            f"{folder}: a VAE of {stride}x compression with {channels} latent channels; {size} has "
            f"{stride_wanted}x and {channels_wanted}; use the --size that it was trained for, or another --out"
        )


def _optimizer(parameters: dict[str, torch.nn.Parameter], options: Text2VideoOptions) -> MuonWithAdamW:
    """Muon for the matrices of attention and feed-forward layers; embeddings and norms need AdamW."""
    blocks = [value for name, value in parameters.items() if _is_of_blocks(name, value)]
    others = {name: value for name, value in parameters.items() if not _is_of_blocks(name, value)}
    matrices = [value for name, value in others.items() if value.dim() > 1 and "shared" not in name]
    vectors = [value for name, value in others.items() if value.dim() <= 1 or "shared" in name]
    groups = [{"params": matrices, "weight_decay": options.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    made = MuonWithAdamW(
        Muon(blocks, options.rate, weight_decay=options.weight_decay),
        torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98), fused=True),
    )
    for group, share in zip(made.param_groups, (1.0, 0.5, 0.5), strict=True):
        group["share"] = share
    return made


def _is_of_blocks(name: str, value: torch.nn.Parameter) -> bool:
    return value.dim() == 2 and ".transformer_blocks." in name and ".norm" not in name


def train_text2video(
    out: Path, size: str, options: Text2VideoOptions, until_s: float = math.inf, n_windows: int | None = None
) -> None:
    """Encode the rendered clips, train, validate, generate samples, write the model folder.

    Args:
        size: model size; `<out>/vae` must be its VAE.
        until_s: maximum training seconds; 0 = no training, only the rest.
        n_windows: train on this many windows only.

    Raises:
        ModelError: there is no VAE. ConfigError: unknown size, or the VAE has another size.
    """
    from mvideo_core.miniworld.training.base_export import Exporter

    vae = load_vae(out / "vae")
    _check_size(out / "vae", vae.config, size)
    run = Text2Video(out, size, options, vae)
    run.advise(options.bfloat16)
    if not run.resume():
        run.start()
    held = load_windows(vae, run.base.tokenizer, out, "val", run.length, 60)
    exporter = Exporter(run, held)
    if until_s <= 0:
        exporter()
        return
    windows = load_windows(vae, run.base.tokenizer, out, "train", run.length, n_windows)
    n_windows = len(windows.latents_NFChw)
    log.info("%d windows, step %d, %.1f of %.1f min", n_windows, run.step, run.seconds / 60, run.options.minutes)
    run.train(windows, until_s, on_validation=exporter)


def main() -> None:
    """Encode, train, validate, generate samples, write the model folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/mini/base"))
    parser.add_argument("--size", default="mini-sincos", help="model size (mvideo_core/cogvideox/sizes.py)")
    parser.add_argument("--windows", type=int, default=None, help="train on this many windows only")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes in this run; rerun to resume")
    parser.add_argument(
        "--export-only", action="store_true", help="validate, generate samples and write the folder without training"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a training option, as JSON")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    values = option_values(args.set, "--set")
    options = Text2VideoOptions.parse(values, where="--set")
    until_s = 0.0 if args.export_only else args.stop_after * 60
    train_text2video(args.out, args.size, options, until_s, args.windows)


if __name__ == "__main__":
    with errors_in_one_line():
        main()
