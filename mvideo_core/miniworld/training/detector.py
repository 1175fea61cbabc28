"""Train the mini GroundingDINO on the world.

    python -m mvideo_core.miniworld.training.detector --out build/mini/detector

One process, one command, resumable: it renders its frames once, resumes from the last checkpoint, and at the end writes
a model folder that the detector loads like any other. How it converges from random weights on one core:

* the class head has no bias, so a low prior is folded into existing biases: text features get a constant part -c, image
  features +c, whose product is the logit of the prior; the random part is scaled down (`fold_prior`);
* every encoder token is supervised, not only the queries; queries start from the tokens they were chosen by
  (`embed_init_tgt=False`) and the decoder starts as the identity, so it refines a working one-stage detector;
* several predictions learn each object, weighted by how well they fit it; in the end only one query per object, so that
  few duplicates are left for NMS;
* the first steps use small images.
"""

import argparse
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from mvideo_core.base.devices import default_device
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.base.options import Options
from mvideo_core.miniworld.training.detector_data import INPUT_HW, Still, Stills, batches, render_chunks
from mvideo_core.miniworld.training.detector_forward import TrainingForward
from mvideo_core.miniworld.training.detector_loss import Target, model_loss
from mvideo_core.miniworld.training.detector_words import vocabulary
from mvideo_core.miniworld.training.option_values import option_values
from mvideo_core.miniworld.training.running_mean import copy_weights, move_mean
from mvideo_core.miniworld.training.timed_run import TimedRun
from mvideo_core.perception.detection.arch import BertArch, GroundingDinoArch
from mvideo_core.perception.detection.groundingdino import PIXEL_MEAN, PIXEL_STD, bert_tokenizer, build_groundingdino
from mvideo_core.perception.detection.prompt import Prompt, build_prompts

log = logging.getLogger(__name__)

VALIDATION_FRAMES = 256


class DetectorTrainingOptions(Options):
    """Training options of the mini detector; defaults are those of the shipped weights."""

    frames: int = Field(default=7500, ge=16, description="training stills to render")
    steps: int = Field(default=8000, ge=1, description="optimizer steps")
    batch_size: int = Field(default=8, ge=1, description="stills per step")
    learning_rate: float = Field(default=1e-3, gt=0, description="peak, AdamW")
    decay_frac: float = Field(
        default=0.35, gt=0, le=1, description="final fraction of the steps, with learning rate decaying to 0"
    )
    warmup_steps: int = Field(default=60, ge=0, description="linear warmup steps")
    weight_decay: float = Field(default=0.05, ge=0, description="weight decay, on matrices only")
    clip_norm: float = Field(default=5.0, gt=0, description="maximum gradient norm")
    ema: float = Field(default=0.995, ge=0, lt=1, description="decay of the averaged weights that are shipped")
    low_res_frac: float = Field(
        default=0.35, ge=0, le=1, description="initial fraction of the steps, at 128x192: 2.2x faster"
    )
    decoder_top_k: int = Field(default=4, ge=1, description="queries that learn each object initially")
    many_frac: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="initial fraction of the steps with decoder_top_k; then one query per object",
    )
    seed: int = Field(default=0, ge=0, description="seed of weights, batches and prompts")
    bfloat16: bool = Field(
        default=True, description="matrix products in bfloat16 (fast on GPUs, and CPUs with AMX or AVX512-BF16)"
    )


def mini_arch() -> GroundingDinoArch:
    """The shipped size: 3.0 M parameters at 192x288."""
    bert = BertArch(
        vocab_size=len(vocabulary()), hidden_size=96, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=192, max_position_embeddings=64,
    )  # fmt: skip
    return GroundingDinoArch(
        embed_dim=40, depths=[1, 1, 2, 1], num_heads=[2, 4, 8, 8], window_size=6, drop_path_rate=0.0,
        hidden_dim=128, dim_feedforward=256, nheads=4, enc_layers=1, dec_layers=1, num_queries=60,
        num_feature_levels=3, enc_n_points=2, dec_n_points=4, embed_init_tgt=False, use_text_enhancer=False,
        use_fusion_layer=False,
        fusion_droppath=0.0, bert=bert, short_side_px=INPUT_HW[0], long_side_px=480,
    )  # fmt: skip


def fold_prior(model: Any, prior: float = 0.01, scale: float = 0.36) -> None:
    """Make a new model predict `prior` everywhere, plus a small random part, and make its decoder the identity.

    A layer norm's output without bias sums to zero over the channels, and so does the text projection once its column
    means are removed; then the constant biases only interact with each other:
    logit = scale^2 * <random> + d * c * (-c) with d * c^2 = -logit(prior).
    """
    head = model.transformer
    constant = math.sqrt(-math.log(prior / (1 - prior)) / head.d_model)
    with torch.no_grad():
        for norm in (head.enc_output_norm, head.decoder.norm):
            norm.weight.fill_(scale)
            norm.bias.fill_(constant)
        weight = model.feat_map.weight
        weight.sub_(weight.mean(0, keepdim=True))
        weight.mul_(scale / (weight.std() * math.sqrt(weight.shape[1])))
        model.feat_map.bias.fill_(-constant)
        for layer in head.decoder.layers:
            for last in (layer.self_attn.out_proj, layer.ca_text.out_proj, layer.cross_attn.output_proj, layer.linear2):
                last.weight.zero_()
                last.bias.zero_()


def targets_of(stills: list[Still], prompt: Prompt, names: dict[str, str], device: str = "cpu") -> list[Target]:
    """Ground truth of a batch for a prompt; objects of classes not in the prompt are background."""
    rows = {phrase: index for index, phrase in enumerate(prompt.phrases)}
    spans_KL = torch.from_numpy(prompt.positive_map_KL[:, : prompt.n_tokens])
    targets = []
    for still in stills:
        asked = [i for i, label in enumerate(still.labels) if names.get(label) in rows]
        spans = spans_KL[[rows[names[still.labels[i]]] for i in asked]]
        boxes, ignored = torch.from_numpy(still.boxes[asked]), torch.from_numpy(still.ignored)
        targets.append(Target(boxes.to(device), spans.to(device), ignored.to(device)))
    return targets


def images_of(stills: list[Still]) -> torch.Tensor:
    """(B, 3, h, w) normalized like `mvideo_core.perception.detection.groundingdino.preprocess`."""
    images = torch.from_numpy(np.stack([still.rgb for still in stills])).permute(0, 3, 1, 2).float() / 255
    return (images - torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1)) / torch.tensor(PIXEL_STD).view(1, 3, 1, 1)


class Trainer(TimedRun):
    """State of one run; resumes from the checkpoint in `out` if there is one."""

    checkpoint_file, curve_file, weights_key, digits = "checkpoint.pt", "train.jsonl", "model", 3

    def __init__(
        self, out: Path, options: DetectorTrainingOptions, arch: GroundingDinoArch | None = None, device: str = "cpu"
    ):
        torch.manual_seed(options.seed)
        self.out, self.options, self.device, self.clip_norm = out, options, device, options.clip_norm
        self.vocab = vocabulary()
        self.tokenizer = bert_tokenizer(self.vocab)
        self.arch = arch or mini_arch()
        self.model = build_groundingdino(self.arch, self.tokenizer).train()
        self.model.bert.encoder.requires_grad_(True)
        _no_dropout(self.model)
        fold_prior(self.model)
        self.model.to(device)
        self.forward = TrainingForward(self.model)
        self.optimizer = torch.optim.AdamW(_groups(self.model, options.weight_decay), betas=(0.9, 0.98), fused=True)
        self.mean = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        self.resume()

    def run(self, stills: Stills, until_s: float = math.inf) -> None:
        """Train to `options.steps`, or for `until_s` seconds."""
        log.info("%d stills, step %d of %d", len(stills), self.step, self.options.steps)
        drawn = batches(stills, self.options.batch_size, self.options.seed, self.step)
        out_of_time = self.time_limit(math.inf, until_s)
        self.train_until(
            lambda: self.step >= self.options.steps or out_of_time(), lambda: self.train_step(*next(drawn)), 25, 60.0
        )

    def train_step(self, batch: list[Still], phrases: list[str], names: dict[str, str]) -> dict[str, float]:
        """One optimizer step; returns the terms of the loss."""
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        prompt = build_prompts(phrases, self.tokenizer, self.arch.max_text_len)[0]
        images = images_of(batch).to(self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.options.bfloat16):
            outputs = self.forward(self._resize(images), prompt.caption, prompt.n_tokens)
        many = self.step < self.options.many_frac * self.options.steps
        targets = targets_of(batch, prompt, names, self.device)
        heads = model_loss(outputs, targets, self.options.decoder_top_k if many else 1)
        loss = sum((head.total() for head in heads.values()), torch.zeros((), device=self.device))
        norm = self.descend(loss, self.model.parameters())
        last = f"decoder{self.arch.dec_layers - 1}"
        return {
            "loss": float(loss.detach()), "enc_cls": float(heads["encoder"].classes.detach()),
            "enc_giou": float(heads["encoder"].giou.detach()), "dec_cls": float(heads[last].classes.detach()),
            "dec_giou": float(heads[last].giou.detach()), "norm": norm,
        }  # fmt: skip

    def _resize(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        if self.step >= self.options.low_res_frac * self.options.steps:
            return images_BCHW
        size = [2 * side // 3 for side in images_BCHW.shape[-2:]]
        return torch.nn.functional.interpolate(images_BCHW, size=size, mode="bilinear", antialias=True)

    def average_model(self) -> Any:
        """The model with its averaged weights, on the CPU, in eval mode; does not affect training."""
        fresh = build_groundingdino(self.arch, self.tokenizer).eval()
        fresh.load_state_dict(self.model.state_dict())
        copy_weights(dict(fresh.named_parameters()), {name: value.cpu() for name, value in self.mean.items()})
        return fresh

    def weights(self) -> dict[str, torch.Tensor]:
        return self.model.state_dict()

    def take_weights(self, weights: dict[str, torch.Tensor]) -> None:
        self.model.load_state_dict(weights)

    def average(self) -> None:
        move_mean(self.mean, dict(self.model.named_parameters()), self.options.ema, self.step + 1)

    def _rate(self) -> float:
        rise = min(1.0, (self.step + 1) / max(1, self.options.warmup_steps))
        fall = (self.options.steps - self.step) / (self.options.decay_frac * self.options.steps)
        return self.options.learning_rate * rise * min(max(fall, 0.01), 1.0)


def _groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    matrices = [p for p in model.parameters() if p.requires_grad and p.dim() > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _no_dropout(model: Any) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def main() -> None:
    """Render, train, evaluate, write the model folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("build/mini/detector"), help="folder for data, checkpoint and result"
    )
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this many minutes; rerun to resume")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a training option, as JSON")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="", help="cpu or cuda; empty = a GPU if available")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    values = option_values(args.set, "--set")
    options = DetectorTrainingOptions.parse(values, where="--set")
    stills = Stills(render_chunks(args.out / "data", options.frames))
    trainer = Trainer(args.out, options, device=args.device or default_device())
    trainer.run(stills, args.minutes * 60)
    from mvideo_core.miniworld.training.detector_export import export

    export(trainer, args.out / "model", Stills(render_chunks(args.out / "data", VALIDATION_FRAMES, "val")))


if __name__ == "__main__":
    with errors_in_one_line():
        main()
