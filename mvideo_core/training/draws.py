"""The random draws of a step, made once for the whole global batch, so that every rank knows all of them.

History is dropped per step, for the whole global batch. All ranks then process the same number of tokens, so no rank
waits for another, and at most three shapes are compiled. Mask and text are dropped per sample. No draw depends on the
number of processes. The paper does not specify how often each is dropped (docs/results/choices.md).

Shape letters: G: slots of the global batch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.cogvideox.history_sigma import HISTORY_SIGMA_MAX, RANGE_GONE
from mvideo_core.training.seeds import generator

if TYPE_CHECKING:
    import torch

    from mvideo_core.cogvideox.schedule import Schedule

History = Literal["none", "appearance", "both"]


class DrawOptions(Options):
    """Condition dropout, noise on the conditions, timesteps. The paper specifies none of these; all of them are our
    choice.
    """

    GONE: ClassVar[dict[str, str]] = {"history_noise": RANGE_GONE}

    history_none: float = Field(
        default=0.3, ge=0, le=1, description="fraction of steps without history, as for a first clip"
    )
    appearance_only: float = Field(
        default=0.15, ge=0, le=1, description="fraction of the steps with history that get only the last frame"
    )
    mask: float = Field(default=0.15, ge=0, le=1, description="fraction of samples without mask (zero latent)")
    text: float = Field(default=0.1, ge=0, le=1, description="fraction of samples with the empty prompt")
    history_sigma: float = Field(
        default=HISTORY_SIGMA_MAX,
        ge=0,
        lt=1,
        description="noise on history latents: sigma is drawn uniformly from 0 to this value; 0 adds none",
    )
    sloppy_mask: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of samples that get one of their sloppy masks (encode's sloppy.variants); 0 = none",
    )
    stratified: bool = Field(default=True, description="spread timesteps over the global batch, one per stratum")


def histories(options: DrawOptions) -> tuple[History, ...]:
    """The histories that a step can have under these options."""
    with_history = options.history_none < 1
    possible: dict[History, bool] = {
        "none": options.history_none > 0,
        "appearance": with_history and options.appearance_only > 0,
        "both": with_history and options.appearance_only < 1,
    }
    return tuple(name for name, drawn in possible.items() if drawn)


@dataclass(frozen=True, slots=True)
class StepDraws:
    """Draws of one optimizer step.

    Attributes:
        history: which condition tokens this step has.
        timestep_G: noise level of the target, 0..999.
        history_timestep_G: noise level of the history; None if history stays clean.
        drop_mask_G, drop_text_G: bool.
        sloppy_G: number of the sloppy mask that replaces each sample's own, int64, -1 for its own; None when no sample
            has a sloppy mask.
    """

    step: int
    history: History
    timestep_G: "torch.Tensor"
    history_timestep_G: "torch.Tensor | None"
    drop_mask_G: "torch.Tensor"
    drop_text_G: "torch.Tensor"
    sloppy_G: "torch.Tensor | None" = None

    @property
    def bare_G(self) -> "torch.Tensor":
        """Samples with no condition but the text, bool."""
        return self.drop_mask_G if self.history == "none" else self.drop_mask_G & False


def draw_step(
    options: DrawOptions, schedule: "Schedule", seed: int, step: int, global_batch: int, n_sloppy: int = 0
) -> StepDraws:
    """The draws of a step; the same on every rank and after every resume.

    Args:
        n_sloppy: sloppy masks of each sample.
    """
    import torch

    choose = generator(seed, "dropout", step)
    first, alone = torch.rand(2, generator=choose).tolist()
    with_history: History = "appearance" if alone < options.appearance_only else "both"
    history: History = "none" if first < options.history_none else with_history
    drop_mask, drop_text = torch.rand((2, global_batch), generator=choose)
    timesteps = schedule.sample_timesteps(generator(seed, "timestep", step), global_batch, options.stratified)
    noised = options.history_sigma > 0 and history != "none"
    levels = None
    if noised:
        levels = schedule.timesteps_at(options.history_sigma * torch.rand(global_batch, generator=choose))
    sloppy = draw_variants(options.sloppy_mask, n_sloppy, generator(seed, "sloppy mask", step), global_batch)
    return StepDraws(step, history, timesteps, levels, drop_mask < options.mask, drop_text < options.text, sloppy)


def draw_variants(share: float, n_variants: int, draw: "torch.Generator", n: int) -> "torch.Tensor | None":
    """For each of n samples, the number of its sloppy mask, uniform, or -1; None when there are no sloppy masks."""
    import torch

    if share == 0 or n_variants == 0:
        return None
    sloppy, which = torch.rand((2, n), generator=draw)
    return torch.where(sloppy < share, (which * n_variants).long().clamp(max=n_variants - 1), -1)
