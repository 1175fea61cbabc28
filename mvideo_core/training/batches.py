"""Turns cached samples and the step's draws into the tensors of one micro-batch.

B batch, F latent frames, C channels, H, W, L text tokens; G: slots of the global batch. All fp32 except the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from mvideo_core.training.draws import DrawOptions, StepDraws, draw_step
from mvideo_core.training.loss_weights import MaskLossOptions, cell_weights
from mvideo_core.training.losses import ConsistencyOptions, consistency_weights
from mvideo_core.training.seeds import derive_seed, generator

if TYPE_CHECKING:
    import torch

    from mvideo_core.cogvideox.schedule import Schedule
    from mvideo_core.training.latents.cache import LatentSample


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch; latents are scaled by the VAE's factor.

    Attributes:
        keys: sample keys, for messages.
        x0_BFCHW, noise_BFCHW: clean target and the noise to add.
        timestep_B: noise level of the target.
        text_BLC: T5 embeddings; of the empty prompt where the text was dropped.
        mask_BFCHW: mask latents, some of them sloppy; zeros where the mask was dropped.
        appearance_BFCHW, motion_BFCHW: history, noised to history_timestep_B; None without history.
        consistency_B: weight of each sample's consistency loss, mean 1 over the global batch; zeros skip the teacher.
        with_teacher: whether any weight of the global batch is nonzero; the same on all ranks.
        seed: for torch's own draws while the loss is computed (dropout of the adapters).
        weight_BFHW: weight of each latent cell in the diffusion loss, mean 1 in every sample; None if all are equal.
    """

    keys: tuple[str, ...]
    x0_BFCHW: "torch.Tensor"
    noise_BFCHW: "torch.Tensor"
    timestep_B: "torch.Tensor"
    text_BLC: "torch.Tensor"
    mask_BFCHW: "torch.Tensor"
    appearance_BFCHW: "torch.Tensor | None"
    motion_BFCHW: "torch.Tensor | None"
    history_timestep_B: "torch.Tensor | None"
    consistency_B: "torch.Tensor"
    with_teacher: bool
    seed: int
    weight_BFHW: "torch.Tensor | None" = None

    def to(self, device: "torch.device") -> "Batch":
        """The same batch on a device; does nothing for tensors that are already there."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, so that copies overlap with computation."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Any) -> "Batch":
        import torch

        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return replace(self, **{name: change(v) for name, v in values.items() if isinstance(v, torch.Tensor)})


class BatchMaker:
    """Makes micro-batches; stateless, so it may be called in any order and from several threads.

    Args:
        draws, consistency: options.
        schedule: the model's noise schedule.
        scaling: VAE scaling factor; the cache holds unscaled latents.
        empty_text_LC: T5 embedding of the empty prompt.
        n_sloppy: sloppy masks of every sample.
        mask_loss: weights inside and outside the mask.
        pin: put batches into page-locked memory.
    """

    def __init__(
        self,
        draws: DrawOptions,
        consistency: ConsistencyOptions,
        schedule: "Schedule",
        *,
        seed: int,
        global_batch: int,
        scaling: float,
        empty_text_LC: "torch.Tensor",
        n_sloppy: int = 0,
        mask_loss: MaskLossOptions = MaskLossOptions(),
        pin: bool = False,
    ):
        self.draws, self.consistency, self.schedule = draws, consistency, schedule
        self.seed, self.global_batch, self.scaling = seed, global_batch, scaling
        self.empty_text_LC = empty_text_LC
        self.n_sloppy, self.mask_loss = n_sloppy, mask_loss
        self.pin = pin

    def __call__(self, step: int, slots: range, samples: Sequence["LatentSample"]) -> Batch:
        """The micro-batch of these slots of a step."""
        drawn = draw_step(self.draws, self.schedule, self.seed, step, self.global_batch, self.n_sloppy)
        weights_G = consistency_weights(self.consistency, drawn)
        return self.batch(drawn, slots, samples, weights_G)

    def batch(
        self, drawn: StepDraws, slots: range, samples: Sequence["LatentSample"], weights_G: "torch.Tensor"
    ) -> Batch:
        """The micro-batch of these slots for given draws; noise is a function of seed, step and slot."""
        import torch

        places = [generator(self.seed, "noise", drawn.step, slot) for slot in slots]
        rows = list(slots)
        x0 = self.scaling * torch.stack([_target(s, g) for s, g in zip(samples, places, strict=True)])
        noise = torch.stack([torch.randn(x0.shape[1:], generator=g) for g in places])
        mask = self.scaling * _masks(samples, None if drawn.sloppy_G is None else drawn.sloppy_G[rows].tolist())
        mask[drawn.drop_mask_G[rows]] = 0
        text = torch.stack([torch.as_tensor(sample.text_LC) for sample in samples])
        text = torch.where(drawn.drop_text_G[rows][:, None, None], self.empty_text_LC.to(text), text)
        levels = None if drawn.history_timestep_G is None else drawn.history_timestep_G[rows]
        appearance = motion = None
        if drawn.history != "none":
            appearance = self._history(samples, "appearance_1CHW", levels, places)
        if drawn.history == "both":
            motion = self._history(samples, "motion_FCHW", levels, places)
        keys = tuple(sample.key for sample in samples)
        batch = Batch(
            keys, x0, noise, drawn.timestep_G[rows], text, mask, appearance, motion, levels,
            weights_G[rows], bool(weights_G.any()), derive_seed(self.seed, "model", drawn.step, slots.start),
            cell_weights(self.mask_loss, samples, drawn.drop_mask_G[rows]),
        )  # fmt: skip
        return batch.pin_memory() if self.pin else batch

    def _history(
        self,
        samples: Sequence["LatentSample"],
        name: str,
        levels: "torch.Tensor | None",
        places: Sequence["torch.Generator"],
    ) -> "torch.Tensor":
        import torch

        clean = self.scaling * stack(samples, name)
        if levels is None:
            return clean
        noise = torch.stack([torch.randn(clean.shape[1:], generator=g) for g in places])
        return self.schedule.noisy(clean, noise, levels)


def stack(samples: Sequence["LatentSample"], name: str) -> "torch.Tensor":
    """One member of all samples, fp32, batch first."""
    import torch

    return torch.stack([torch.as_tensor(getattr(sample, name)).float() for sample in samples])


def _masks(samples: Sequence["LatentSample"], variants: Sequence[int] | None) -> "torch.Tensor":
    """Each sample's own mask where the number is -1, otherwise its sloppy mask of that number."""
    import torch

    if variants is None:
        return stack(samples, "mask_FCHW")
    chosen = [
        sample.mask_FCHW if variant < 0 else sample.sloppy_KFCHW[variant]
        for sample, variant in zip(samples, variants, strict=True)
    ]
    return torch.stack([torch.as_tensor(mask).float() for mask in chosen])


def _target(sample: "LatentSample", draw: "torch.Generator") -> "torch.Tensor":
    """The VAE's mean, or a draw from its distribution if the cache also has the variance."""
    import torch

    mean = torch.as_tensor(sample.target_FCHW).float()
    logvar = getattr(sample, "target_logvar_FCHW", None)
    if logvar is None:
        return mean
    return mean + torch.exp(0.5 * torch.as_tensor(logvar).float()) * torch.randn(mean.shape, generator=draw)
