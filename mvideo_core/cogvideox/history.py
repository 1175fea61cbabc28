"""Noise on the tokens of the previous clip, as in generation."""

from dataclasses import replace

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Generator, Tensor

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.conditions import Conditions
from mvideo_core.cogvideox.schedule import Schedule


def noisy_history(
    conditions: Conditions, schedule: Schedule, sigma: float, generator: Generator | None = None
) -> Conditions:
    """Appearance and motion with noise, and its timestep for the network; unchanged without history or at sigma 0.

    Generated frames are not as clean as training data. A little noise hides the difference, so that errors do not
    accumulate from clip to clip.

    Raises:
        ConfigError: sigma is not in [0, 1).
    """
    if not 0 <= sigma < 1:
        raise ConfigError(f"history_sigma: {sigma}; expected 0 (no noise) to below 1 (nothing but noise)")
    if sigma == 0 or not conditions.has_history:
        return conditions
    changed: dict[str, Tensor] = {}
    for name in ("appearance_BFCHW", "motion_BFCHW"):
        x0 = getattr(conditions, name)
        if x0 is not None:
            noise = randn_tensor(x0.shape, generator=generator, device=x0.device, dtype=torch.float32)
            levels = schedule.timesteps_at(torch.full((len(x0),), sigma)).to(x0.device)
            changed |= {name: schedule.noisy(x0, noise, levels), "timestep_B": levels}
    return replace(conditions, **changed)
