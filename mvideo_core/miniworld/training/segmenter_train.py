"""Train the mini SAM2: image path first, then memory on short clips, then on longer ones.

The model is the package's `SAM2VideoPredictor`; its training-time path is `SAM2Base._track_step` and
`_encode_memory_in_output`, applied here to a batch of clips. The schedule is in steps: the same on slow and fast
machines, on a GPU, and after a restart.
"""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mvideo_core.miniworld.training.running_mean import move_mean
from mvideo_core.miniworld.training.segmenter_arch import BASE, OVERRIDES
from mvideo_core.miniworld.training.segmenter_batches import Batch, draw_batch
from mvideo_core.miniworld.training.segmenter_losses import frame_loss
from mvideo_core.miniworld.training.segmenter_world import Shard, open_shards
from mvideo_core.miniworld.training.timed_run import TimedRun
from mvideo_core.perception.segmentation.sam2_build import build_predictor
from mvideo_core.perception.segmentation.sam2_video import ENDLESS

if TYPE_CHECKING:
    import torch
    from sam2.sam2_video_predictor import SAM2VideoPredictor

log = logging.getLogger(__name__)


class Phase(NamedTuple):
    """One part of the schedule.

    Attributes:
        steps: optimizer steps.
        size: image side, px. Half the side costs a quarter and teaches layout; edges come later.
        n_clips, n_frames, max_objects: batch shape; n_frames 1 = stills.
        rate: peak learning rate of the parts this phase trains (see `_groups`).
        frozen: do not train the image encoder.
    """

    name: str
    steps: int
    size: int
    n_clips: int
    n_frames: int
    max_objects: int
    rate: float
    frozen: bool


PHASES = (
    Phase("coarse image", 4300, 128, 10, 1, 24, 1.5e-3, False),
    Phase("coarse clips", 600, 128, 4, 6, 10, 1e-3, True),
    Phase("image", 4500, 192, 6, 1, 16, 1e-3, False),
    Phase("clips", 900, 192, 4, 4, 10, 1e-3, True),
    Phase("long", 450, 192, 2, 12, 6, 8e-4, True),
    Phase("fine image", 4500, 256, 6, 1, 16, 8e-4, False),
    Phase("fine clips", 300, 256, 3, 6, 8, 6e-4, False),
    Phase("fine long", 1450, 256, 2, 12, 6, 5e-4, True),
)
DECAY = 0.998
"""Decay of the weights' running mean, which is exported."""


class Run(TimedRun):
    """State of a training run."""

    checkpoint_file, curve_file, weights_key, digits = "checkpoint.pt", "train.jsonl", "model", 4

    def __init__(self, out: Path, seed: int = 0, device: str = "cpu"):
        import torch

        self.out, self.device = out, device
        self.model = build_predictor(BASE, OVERRIDES, seed=seed).to(device)
        self._sizes = {self.model.image_size: self.model}
        # Start with "object present": predicting absence blanks the mask and its gradient.
        torch.nn.init.constant_(self.model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, 3.0)
        self.mean = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            _groups(self.model), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02, fused=True
        )
        self.seed = seed
        self.phase = ""
        self.j: list[list[float]] = []

    def facts(self) -> dict[str, Any]:
        frames = [row for row in self.j if len(row) == len(self.j[-1])]
        self.j = []
        by_frame = [round(float(value), 3) for value in np.nanmean(np.asarray(frames), 0)]
        return {"phase": self.phase, "j": by_frame}

    def at(self, size: int) -> "SAM2VideoPredictor":
        """The same weights with an input side of `size` px."""
        if size not in self._sizes:
            self._sizes[size] = build_predictor(BASE, {**OVERRIDES, "image_size": size}).to(self.device)
            _share(self.model, self._sizes[size])
        return self._sizes[size]

    def weights(self) -> "dict[str, torch.Tensor]":
        return self.model.state_dict()

    def take_weights(self, weights: "dict[str, torch.Tensor]") -> None:
        self.model.load_state_dict(weights)

    def average(self) -> None:
        move_mean(self.mean, self.model.state_dict(), DECAY, self.step)


def train(run: Run, shards_folder: Path, scale: float = 1.0, save_every_s: float = 120.0) -> None:
    """Train to the end of the schedule; a stopped run resumes from its checkpoint.

    Args:
        scale: factor on the length of every phase; 0.01 for a trial run.
    """
    total, shards = total_steps(scale), open_shards(shards_folder)
    log.info("%d shards, step %d of %d", len(shards), run.step, total)

    def step() -> dict[str, float]:
        phase, done, steps = phase_at(run.step, scale)
        _set_rates(run.optimizer.param_groups, phase, done, steps)
        loss, j = _step(run, shards, phase)
        run.phase = phase.name
        run.j.append(j)
        return {"loss": loss}

    run.train_until(lambda: run.step >= total, step, 100, save_every_s)


def total_steps(scale: float = 1.0) -> int:
    """Steps of all phases."""
    return sum(_steps(phase, scale) for phase in PHASES)


def phase_at(step: int, scale: float = 1.0) -> tuple[Phase, int, int]:
    """The phase of a step, its completed steps, and its total steps.

    Raises:
        IndexError: the schedule is over.
    """
    for phase in PHASES:
        steps = _steps(phase, scale)
        if step < steps:
            return phase, step, steps
        step -= steps
    raise IndexError("the schedule is over")


def _steps(phase: Phase, scale: float) -> int:
    return max(1, round(phase.steps * scale))


def track(model: "SAM2VideoPredictor", batch: Batch, frozen: bool) -> Iterator[tuple[Any, ...]]:
    """Yield the SAM head's outputs of every frame, conditioned on the memory of earlier frames.

    The network gets an endless clip length: the age of its object pointers is scaled by the clip length up to 16
    frames, and what it learns on short clips must carry over to long ones.
    """
    import torch

    n_frames, n_clips = batch.images.shape[:2]
    with torch.set_grad_enabled(not frozen and torch.is_grad_enabled()):
        features = model.forward_image(batch.images.flatten(0, 1))
    _, levels, positions, sizes = model._prepare_backbone_features(features)
    n_objects = len(batch.boxes_xyxy)
    prompt = {
        "point_coords": batch.boxes_xyxy.reshape(-1, 2, 2),
        "point_labels": torch.tensor([[2, 3]], dtype=torch.int32, device=batch.images.device).expand(n_objects, -1),
    }
    memory: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    for t in range(n_frames):
        rows = t * n_clips + batch.clip_of_object
        levels_t = [level[:, rows] for level in levels]
        positions_t = [position[:, rows] for position in positions]
        points = prompt if t == 0 else None
        current, heads, _, _ = model._track_step(
            t, t == 0, levels_t, positions_t, sizes, points, None, memory, ENDLESS, False, None
        )
        yield heads
        if t + 1 < n_frames:
            current["obj_ptr"] = heads[5]
            model._encode_memory_in_output(levels_t, sizes, points, True, heads[4], heads[6], current)
            memory["non_cond_frame_outputs" if t else "cond_frame_outputs"][t] = current


def _step(run: Run, shards: list[Shard], phase: Phase) -> tuple[float, list[float]]:
    """One optimizer step; returns the loss and J of every frame."""
    import torch

    rng = np.random.default_rng([run.seed, run.step])
    batch = draw_batch(shards, rng, phase.n_clips, phase.n_frames, phase.max_objects, phase.size).to(run.device)
    model = run.at(phase.size).train()
    losses, j = [], []
    for heads, coverage in zip(track(model, batch, phase.frozen), batch.coverage, strict=True):
        result = frame_loss(heads[3], heads[2], heads[6], coverage, presence=float(phase.n_frames > 1))
        losses.append(result.loss)
        j.append(result.mean_j)
    loss = torch.stack(losses).mean()
    run.descend(loss, run.model.parameters())
    return float(loss.detach()), j


def _share(source: "torch.nn.Module", target: "torch.nn.Module") -> None:
    """Make `target` share the parameters and buffers of `source`; no shape depends on the image size."""
    for ours, theirs in zip(source.modules(), target.modules(), strict=True):
        theirs._parameters.update(ours._parameters)
        theirs._buffers.update(ours._buffers)


def _groups(model: "torch.nn.Module") -> list[dict[str, Any]]:
    """Parameters by part: image encoder, memory (attention, encoder, pointers), heads (prompts, decoder)."""
    parts: dict[str, list[Any]] = {"image": [], "memory": [], "heads": []}
    for name, parameter in model.named_parameters():
        part = "image" if name.startswith("image_encoder") else "heads" if name.startswith("sam_") else "memory"
        parts[part].append(parameter)
    return [{"params": parameters, "name": name} for name, parameters in parts.items()]


def _set_rates(groups: list[dict[str, Any]], phase: Phase, done: int, steps: int) -> None:
    """Cosine from the phase's peak to a twentieth after 200 warmup steps; already trained parts get a third."""
    rate = phase.rate * min(1.0, (done + 1) / 200) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done / steps)))
    stills = phase.n_frames == 1
    factors = {"image": 0.0 if phase.frozen else 1.0, "memory": 0.0 if stills else 1.0, "heads": 1.0 if stills else 0.4}
    for group in groups:
        group["lr"] = rate * factors[group["name"]]
