"""Loss on held-out samples with fixed noise, by timestep bin: a curve that changes only with the model.

The training loss hardly falls, since it mixes all noise levels and draws new noise every step. Here, the loss of every
held-out sample is computed in every timestep bin, each time with the same noise. Samples get all conditions (history
only if training uses it), and the noise level of the history is fixed. The pairs of sample and bin are divided among
the ranks, so no rank waits long for another.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.cogvideox.history_sigma import HISTORY_SIGMA, TIMESTEP_GONE
from mvideo_core.training.callbacks.base import Callback, is_due
from mvideo_core.training.callbacks.ema import Ema
from mvideo_core.training.draws import History, StepDraws
from mvideo_core.training.seeds import generator

if TYPE_CHECKING:
    import torch

    from mvideo_core.cogvideox.schedule import Schedule
    from mvideo_core.training.batches import BatchMaker
    from mvideo_core.training.distributed import World
    from mvideo_core.training.loop import Trainer
    from mvideo_core.training.losses import MVideoObjective
    from mvideo_core.training.sample_order import Samples

SEED = 20_250_101
"""Seed of the validation noise: the same in all runs, so that their curves can be compared."""
N_TIMESTEPS = 1000


class ValidationOptions(Options):
    """Fixed-noise loss on held-out samples (data.holdout)."""

    GONE: ClassVar[dict[str, str]] = {"history_timestep": TIMESTEP_GONE}

    every: int = Field(default=250, ge=0, description="steps between validations; 0: never")
    bins: int = Field(default=5, ge=1, le=50, description="timestep bins; one forward per sample and bin")
    history_sigma: float = Field(default=HISTORY_SIGMA, ge=0, lt=1, description="as `history_sigma` of generation")


class Validation(Callback):
    """Adds val/loss_diffusion, val/loss_consistency and val/loss_diffusion/bin<k> to the metrics.

    Args:
        held: dataset indices of the held-out samples.
        maker: makes batches with the validation seed.
        ema: validate its mean instead of the weights.
    """

    def __init__(
        self,
        objective: "MVideoObjective",
        samples: "Samples[Any]",
        held: Sequence[int],
        maker: "BatchMaker",
        options: ValidationOptions,
        ema: Ema | None = None,
    ):
        self.objective, self.samples, self.held = objective, samples, held
        self.maker, self.options, self.ema = maker, options, ema

    def on_step(self, trainer: "Trainer", metrics: dict[str, Any]) -> None:
        """Validate if it is due or the run ends."""
        last = trainer.step >= trainer.steps and self.options.every > 0
        if self.held and (is_due(trainer.step, self.options.every) or last):
            metrics |= self.measure(trainer)

    def measure(self, trainer: "Trainer") -> dict[str, float]:
        """The losses, summed over all ranks."""
        import torch

        bins = self.options.bins
        sums = torch.zeros(3, bins, device=trainer.world.device)
        with torch.no_grad(), evaluate_inside(self.objective.transformer, self.ema):
            for index, bin_ in self._mine(trainer.world.rank, trainer.world.size):
                one = self.objective.sample_losses(self._batch(index, bin_))
                sums[0, bin_] += one.diffusion_B.sum()
                sums[1, bin_] += 0 if one.consistency_B is None else one.consistency_B.sum()
                sums[2, bin_] += len(one.diffusion_B)
        diffusion, consistency, count = trainer.world.sum_(sums).tolist()
        by_bin = {f"val/loss_diffusion/bin{n}": diffusion[n] / count[n] for n in range(bins)}
        means = {
            "val/loss_diffusion": sum(diffusion) / sum(count),
            "val/loss_consistency": sum(consistency) / sum(count),
        }
        return means | by_bin

    def takes_part(self, world: "World") -> bool:
        """Whether this rank ever runs a sample."""
        return self.options.every > 0 and bool(self._mine(world.rank, world.size))

    def warm_up(self, world: "World") -> None:
        """Run one sample as in `measure`, to compile its graphs, without waiting for other ranks."""
        import torch

        if self.takes_part(world):
            with torch.no_grad(), evaluate_inside(self.objective.transformer, self.ema):
                self.objective.sample_losses(self._batch(*self._mine(world.rank, world.size)[0]))

    def _mine(self, rank: int, size: int) -> list[tuple[int, int]]:
        pairs = [(index, bin_) for index in self.held for bin_ in range(self.options.bins)]
        return pairs[rank::size]

    def _batch(self, index: int, bin_: int) -> Any:
        import torch

        bins = self.options.bins
        history: History = "both" if self.maker.draws.history_none < 1 else "none"
        noised = self.maker.draws.history_sigma > 0 and history == "both"
        sigma = self.options.history_sigma if noised else 0.0
        drawn = validation_draws(index, bins, history, sigma, self.maker.schedule)
        return self.maker.batch(drawn, range(bin_, bin_ + 1), [self.samples.get(index)], torch.ones(bins))


def validation_draws(index: int, bins: int, history: History, history_sigma: float, schedule: "Schedule") -> StepDraws:
    """Draws of one held-out sample: a fixed timestep in every bin, with all conditions."""
    import torch

    width = N_TIMESTEPS / bins
    u = torch.rand(bins, generator=generator(SEED, "timestep", index))
    timesteps = ((torch.arange(bins) + u) * width).long().clamp(max=N_TIMESTEPS - 1)
    never = torch.zeros(bins, dtype=torch.bool)
    levels = schedule.timesteps_at(torch.full((bins,), history_sigma)) if history_sigma else None
    return StepDraws(index, history, timesteps, levels, never, never)


@contextlib.contextmanager
def evaluate_inside(transformer: "torch.nn.Module", ema: Ema | None) -> Iterator[None]:
    """Evaluation mode inside the block, with the mean of the weights if there is one."""
    was_training = transformer.training
    transformer.eval()
    try:
        with ema.swap() if ema else contextlib.nullcontext():
            yield
    finally:
        transformer.train(was_training)
