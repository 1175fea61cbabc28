"""Train the mini ViCLIP, the network of `mini_consistency`.

    python -m mvideo_core.miniworld.training.viclip --out build/mini/viclip

Renders text-video pairs of the world (`<out>/data`), trains contrastively with wrong captions on one thread, evaluates
on the split `val`, and writes `<out>/model` (config.json, model.safetensors in fp16, bpe_world.txt, README.md): the
layout of the public ViCLIP, read by the same code. Rerun the same command to resume; `--minutes` is total CPU time;
a larger value extends a finished run.

Three losses: contrastive (every video against all captions of the batch and its own wrong captions, and every caption
against all videos); class and color of each kept patch; which words of the world's sentence fit the video. The last
two have their own heads, which are not exported; they make a short training notice objects at all. Most steps see a
subset of the patches (FLIP, Li et al. 2023, arXiv:2212.00794), the last ones all of them.

Legend: B videos, L tokens, D embedding.
"""

import argparse
import logging
import math
import random
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.base.options import Options
from mvideo_core.evaluation.networks.viclip import ViClip, ViclipSizes
from mvideo_core.miniworld.training.option_values import option_values
from mvideo_core.miniworld.training.running_mean import move_mean
from mvideo_core.miniworld.training.timed_run import TimedRun
from mvideo_core.miniworld.training.viclip_batches import Batch, Pairs, choose_patches, draw_batch, patch_labels
from mvideo_core.miniworld.training.viclip_data import CLASSES, COLORS, draw_pairs
from mvideo_core.miniworld.training.viclip_forward import text_embeddings, video_states
from mvideo_core.miniworld.training.viclip_words import world_tokenizer

log = logging.getLogger(__name__)

SIZES: dict[str, int] = {
    "image_px": 80, "patch_px": 8, "vision_width": 96, "vision_layers": 4, "vision_heads": 3, "text_width": 64,
    "text_layers": 2, "text_heads": 2, "context": 64, "embedding": 96,
}  # fmt: skip
"""80 px: a frame of 64x96 squeezed to a square of about as many pixels."""
VAL_SHOTS = 200


class MiniViclipOptions(Options):
    """Training options of the mini ViCLIP."""

    minutes: float = Field(
        default=15.0, gt=0, description="total CPU minutes, including resumed runs, without rendering"
    )
    rate: float = Field(default=2e-3, gt=0, description="peak learning rate (AdamW), cosine decay")
    warmup_steps: int = Field(default=60, ge=1, description="warmup steps")
    batch: int = Field(default=64, ge=2, description="clips per step, each from a different shot")
    kept: int = Field(default=72, ge=1, description="patches per step, out of a clip's 800")
    whole_frac: float = Field(default=0.08, ge=0, le=1, description="final fraction of the minutes, with all patches")
    whole_batch: int = Field(default=32, ge=2, description="clips per step in that part")
    patch_weight: float = Field(default=0.5, ge=0, description="weight of the loss on class and color per patch")
    words_weight: float = Field(default=2.0, ge=0, description="weight of the loss on the sentence's words")
    ema: float = Field(default=0.995, ge=0, lt=1, description="decay of the weights' running mean, which is exported")
    weight_decay: float = Field(default=0.05, ge=0, description="of matrices")
    seed: int = Field(default=0, ge=0, description="seed of weights and batches")


class Heads(nn.Module):
    """Training-only heads: classes and colors of patches, words of the sentence."""

    def __init__(self, sizes: ViclipSizes):
        super().__init__()
        self.kind = nn.Linear(sizes.vision_width, len(CLASSES) + 1)
        self.color = nn.Linear(sizes.vision_width, len(COLORS) + 1)
        self.words = nn.Linear(sizes.embedding, sizes.vocabulary)


class Trainer(TimedRun):
    """State of a training run."""

    checkpoint_file, curve_file = "viclip.pt", "viclip.jsonl"

    def __init__(self, out: Path, options: MiniViclipOptions):
        self.out, self.options = out, options
        torch.manual_seed(options.seed)
        self.tokenizer = world_tokenizer()
        self.sizes = ViclipSizes.parse({**SIZES, "vocabulary": self.tokenizer.size})
        self.network = ViClip(self.sizes)
        with torch.no_grad():
            self.network.temp.fill_(0.07)
            self.network.text_encoder.token_embedding.weight.mul_(0.3)
            for name, value in self.network.named_parameters():
                if name.endswith(("out_proj.weight", "c_proj.weight")):
                    value.mul_(0.5)
        self.heads = Heads(self.sizes)
        self.modules = nn.ModuleDict({"network": self.network, "heads": self.heads})
        self.mean = {name: value.detach().clone() for name, value in self.network.named_parameters()}
        self.optimizer = torch.optim.AdamW(self._groups(), lr=options.rate, betas=(0.9, 0.98))
        self.n_shots = 0

    def train(self, pairs: Pairs, until_s: float = math.inf, save_every_s: float = 20.0, every: int = 25) -> None:
        """Train until the options' minutes are used up, or for `until_s` seconds."""
        self.n_shots = len(pairs)
        self.train_until(self.time_limit(self.options.minutes, until_s), lambda: self._step(pairs), every, save_every_s)

    def facts(self) -> dict[str, Any]:
        return {"rate": self.rate(), "temp": float(self.network.temp.detach())}

    def losses(self, batch: Batch, draws: torch.Generator, whole: bool = False) -> dict[str, Tensor]:
        """Contrastive loss, patch loss, word loss, and the fraction of videos whose own caption ranks first."""
        side = self.sizes.image_px // self.sizes.patch_px
        labels = patch_labels(batch.patches, side)
        kept = None if whole else choose_patches(labels, self.options.kept, draws)
        video_BD, states = video_states(self.network, batch.frames, kept)
        if kept is not None:
            labels = torch.gather(labels, 1, kept[..., None].expand(-1, -1, 2))
        count = len(batch.tokens)
        texts = text_embeddings(self.network, torch.cat([batch.tokens, batch.wrong.flatten(0, 1)]))
        right, wrong = texts[:count], texts[count:].view(count, -1, texts.shape[1])
        contrast, first = contrastive(video_BD, right, wrong, self.network.temp.clamp(0.02, 0.5))
        return {
            "contrast": contrast, "patches": self._patch_loss(states, labels),
            "words": self._word_loss(video_BD, batch), "first": first,
        }  # fmt: skip

    def rate(self) -> float:
        """Current learning rate."""
        done = min(1.0, self.seconds / (60 * self.options.minutes))
        return self.options.rate * min(1.0, (self.step + 1) / self.options.warmup_steps) * max(
            0.02, 0.5 + 0.5 * math.cos(math.pi * done)
        )  # fmt: skip

    def mean_weights(self) -> ViClip:
        """The network with the running mean of the weights, for inference."""
        network = ViClip(self.sizes)
        network.load_state_dict(self.mean)
        return network.eval()

    def weights(self) -> dict[str, Tensor]:
        return self.modules.state_dict()

    def take_weights(self, weights: dict[str, Tensor]) -> None:
        self.modules.load_state_dict(weights)

    def average(self) -> None:
        move_mean(self.mean, dict(self.network.named_parameters()), self.options.ema, self.step)

    def _step(self, pairs: Pairs) -> dict[str, float]:
        options = self.options
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        whole = self.seconds > 60 * options.minutes * (1 - options.whole_frac)
        seed = 1_000_003 * options.seed + self.step
        size = min(options.whole_batch if whole else options.batch, len(pairs))
        batch = draw_batch(pairs, self.tokenizer, self.sizes.context, size, random.Random(seed))
        losses = self.losses(batch, torch.Generator().manual_seed(seed), whole)
        loss = losses["contrast"] + options.patch_weight * losses["patches"] + options.words_weight * losses["words"]
        self.descend(loss, self.modules.parameters())
        return {name: float(value.detach()) for name, value in losses.items()}

    def _patch_loss(self, states: Tensor, labels_BK2: Tensor) -> Tensor:
        total = states.new_zeros(())
        for place, head in enumerate((self.heads.kind, self.heads.color)):
            logits, wanted = head(states).flatten(0, 1), labels_BK2[..., place].flatten()
            weights = torch.ones(logits.shape[1])
            weights[0] = 0.2  # most patches are background
            total = total + functional.cross_entropy(logits, wanted, weights)
        return total

    def _word_loss(self, video_BD: Tensor, batch: Batch) -> Tensor:
        wanted = torch.zeros(len(batch.plain), self.sizes.vocabulary).scatter_(1, batch.plain, 1.0)
        wanted[:, 0] = 0  # padding
        used = wanted.any(dim=0)
        logits = self.heads.words(video_BD)
        return functional.binary_cross_entropy_with_logits(logits[:, used], wanted[:, used])

    def _groups(self) -> list[dict[str, Any]]:
        values = dict(self.modules.named_parameters())
        plain = [value for name, value in values.items() if value.dim() <= 1 or "embedding" in name]
        matrices = [value for name, value in values.items() if not (value.dim() <= 1 or "embedding" in name)]
        return [
            {"params": matrices, "weight_decay": self.options.weight_decay}, {"params": plain, "weight_decay": 0.0}
        ]  # fmt: skip


def contrastive(video_BD: Tensor, right_BD: Tensor, wrong_BKD: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """(loss, fraction of videos closest to their own caption).

    Each video is contrasted with all captions of the batch and its own wrong ones, each caption with all videos; the
    loss is the mean of both cross-entropies. A wrong caption must differ from the true one; the data ensures that.
    """
    video, right, wrong = (functional.normalize(one, dim=-1) for one in (video_BD, right_BD, wrong_BKD))
    across = video @ right.T / temperature
    own_wrong = torch.einsum("bd,bkd->bk", video, wrong) / temperature
    wanted = torch.arange(len(video))
    logits = torch.cat([across, own_wrong], dim=1)
    loss = 0.5 * (functional.cross_entropy(logits, wanted) + functional.cross_entropy(across.T, wanted))
    return loss, (logits.argmax(dim=1) == wanted).float().mean()


def main() -> None:
    """Render, train, evaluate, write the model folder."""
    from mvideo_core.miniworld.training.viclip_export import write_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/mini/viclip"))
    parser.add_argument("--shots", type=int, default=1600, help="training shots to render, two clips each")
    parser.add_argument("--minutes", type=float, default=None, help="total CPU minutes of training")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes in this run; rerun to resume")
    parser.add_argument("--export-only", action="store_true", help="evaluate and write the folder without training")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a training option, as JSON")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    values = option_values(args.set, "--set")
    if args.minutes is not None:
        values["minutes"] = args.minutes
    data = args.out / "data"
    draw_pairs(data, VAL_SHOTS, "val")
    draw_pairs(data, args.shots)
    run = Trainer(args.out, MiniViclipOptions.parse(values, where="--set"))
    run.resume()
    pairs = Pairs(data, SIZES["image_px"])
    log.info("%d shots, step %d, %.1f of %.1f min", len(pairs), run.step, run.seconds / 60, run.options.minutes)
    run.n_shots = len(pairs)
    if not args.export_only:
        run.train(pairs, args.stop_after * 60)
    write_model(run, Pairs(data, SIZES["image_px"], "val"), args.out / "model")


if __name__ == "__main__":
    with errors_in_one_line():
        main()
