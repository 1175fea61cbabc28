"""Noise on the tokens of the clip before, as generation gives it to them."""

from dataclasses import replace

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Generator, Tensor

from mvideo_core.errors import ConfigError
from mvideo_core.model.conditions import Conditions
from mvideo_core.model.schedule import Schedule


def noisy_history(
    conditions: Conditions, schedule: Schedule, timestep: int, generator: Generator | None = None
) -> Conditions:
    """Appearance and motion brought to a noise level, and the level said; without history, or at 0, as they are.

    What was generated is not as clean as training data: a little noise hides the difference, so that errors do not add
        up from clip to clip.
    """
    if timestep == 0 or not conditions.has_history:
        return conditions
    if not 0 < timestep < len(schedule):
        raise ConfigError(f"condition_timestep: {timestep}; 0 to {len(schedule) - 1} expected")
    changed: dict[str, Tensor] = {}
    for name in ("appearance_BFCHW", "motion_BFCHW"):
        x0 = getattr(conditions, name)
        if x0 is not None:
            noise = randn_tensor(x0.shape, generator=generator, device=x0.device, dtype=torch.float32)
            levels = torch.full((len(x0),), timestep, device=x0.device)
            changed |= {name: schedule.noisy(x0, noise, levels), "timestep_B": levels}
    return replace(conditions, **changed)
