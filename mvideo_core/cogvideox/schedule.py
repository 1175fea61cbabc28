"""Noise, velocity target and timesteps, in fp32 whatever the model's dtype (equation 1, in v-prediction).

diffusers' schedulers cast alpha-bar to the dtype of the latents: in bf16 the noise at t = 0 falls from 0.0293 to
0.0002.

Shape letters: B batch, F latent frames, C channels, H, W; "..." any trailing axes.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mvideo_core.base.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """x_t = signal[t] * x0 + sigma[t] * noise.

    Attributes:
        signal_T: sqrt(alpha-bar), fp32, on CPU.
        sigma_T: sqrt(1 - alpha-bar), fp32, on CPU.
    """

    signal_T: "Tensor"
    sigma_T: "Tensor"

    @classmethod
    def of(cls, scheduler: Any) -> "Schedule":
        """The schedule of a CogVideoX DDIM or DPM scheduler.

        Raises:
            ConfigError: the scheduler does not predict v.
        """
        if scheduler.config.prediction_type != "v_prediction":
            raise ConfigError(
                f"scheduler: prediction_type is {scheduler.config.prediction_type!r}; CogVideoX and this loss use "
                "'v_prediction'"
            )
        alpha_bar = scheduler.alphas_cumprod.double()
        return cls(alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float())

    def __len__(self) -> int:
        return self.signal_T.shape[0]

    def noisy(self, x0: "Tensor", noise: "Tensor", t_B: "Tensor") -> "Tensor":
        """x_t in fp32, same shape as x0 (B, ...); t_B integers in [0, len)."""
        signal, sigma = self._at(t_B, x0)
        return signal * x0.float() + sigma * noise.float()

    def velocity(self, x0: "Tensor", noise: "Tensor", t_B: "Tensor") -> "Tensor":
        """Regression target sqrt(a) * noise - sqrt(1 - a) * x0, fp32.

        Source: Salimans & Ho 2022 (arXiv:2202.00512), section 4.
        """
        signal, sigma = self._at(t_B, x0)
        return signal * noise.float() - sigma * x0.float()

    def predict_clean(self, x_t: "Tensor", velocity: "Tensor", t_B: "Tensor") -> "Tensor":
        """x0 from x_t and v, fp32."""
        signal, sigma = self._at(t_B, x_t)
        return signal * x_t.float() - sigma * velocity.float()

    def sample_timesteps(self, generator: "Generator | None", n: int, stratified: bool = True) -> "Tensor":
        """n timesteps, uniform over the schedule, int64 on the generator's device.

        Args:
            generator: source of randomness; None for torch's own.
            n: batch size over all ranks and micro-batches; each rank takes its slice of the result.
            stratified: one draw from each of n equal parts, in random order (CogVideoX's "explicit uniform sampling").
        """
        import torch

        device = generator.device if generator is not None else "cpu"
        if not stratified:
            return torch.randint(0, len(self), (n,), generator=generator, device=device)
        order = torch.randperm(n, generator=generator, device=device)
        inside = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
        return ((order + inside) * (len(self) / n)).long().clamp_(max=len(self) - 1)

    def timesteps_at(self, sigma_B: "Tensor") -> "Tensor":
        """The timesteps whose noise is closest to sigma (B,), int64 on CPU.

        The smallest noise is that of t = 0: sigma 0.05 in CogVideoX-2b, 0.03 in 5b and the mini base.
        """
        import torch

        sigma_B = sigma_B.detach().to("cpu", torch.float32)
        above = torch.searchsorted(self.sigma_T, sigma_B).clamp(1, len(self) - 1)
        below = above - 1
        nearer = sigma_B - self.sigma_T[below] <= self.sigma_T[above] - sigma_B
        return torch.where(nearer, below, above)

    def _at(self, t_B: "Tensor", like: "Tensor") -> "tuple[Tensor, Tensor]":
        shape = (-1, *[1] * (like.dim() - 1))
        index = t_B.to(self.signal_T.device).long()
        return tuple(table[index].view(shape).to(like.device) for table in (self.signal_T, self.sigma_T))  # type: ignore[return-value]


def sampler_of(scheduler: Any, name: str, spacing: str = "") -> Any:
    """DDIM (deterministic) or the SDE form of DPM-Solver++ on the noise schedule of another scheduler.

    Args:
        spacing: "leading", "linspace" or "trailing" timesteps; "" keeps the scheduler's.

    Raises:
        ConfigError: an unknown name.
    """
    from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

    known = {"ddim": CogVideoXDDIMScheduler, "dpm": CogVideoXDPMScheduler}
    if name not in known:
        raise ConfigError(f"scheduler: {name!r} is unknown; use one of: {', '.join(known)}")
    return known[name].from_config(scheduler.config, **({"timestep_spacing": spacing} if spacing else {}))


def timesteps_of(scheduler: Any, steps: int, device: "torch.device | str | None" = None) -> "Tensor":
    """Timesteps of a generation, set in the scheduler; warns if the last one ends before noise zero.

    Raises:
        ConfigError: fewer than 1, or more than the model was trained with.
    """
    trained = scheduler.config.num_train_timesteps
    if not 1 <= steps <= trained:
        raise ConfigError(f"num_inference_steps: {steps}; expected 1 to {trained}")
    scheduler.set_timesteps(steps, device=device)
    if int(scheduler.timesteps[-1]) - trained // steps >= 0:
        near = min((n for n in range(1, trained + 1) if trained % n == 0), key=lambda n: abs(n - steps))
        log.warning("%d steps do not divide %d: the last one ends before noise zero; %d would", steps, trained, near)
    return scheduler.timesteps
