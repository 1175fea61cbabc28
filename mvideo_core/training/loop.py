"""The training loop: fetch, forward, backward, accumulate, average; clip, step, schedule, hooks.

It knows a `loss(batch)` and parameters, nothing of video models. A step is an optimizer step everywhere. Gradients live
in one flat fp32 buffer, each parameter's `.grad` a view of it; behind them ride the losses and the stop request, so one
all-reduce brings every rank the same gradients, the same losses and the same decision.
"""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from mvideo_core.errors import TrainError
from mvideo_core.options import Options
from mvideo_core.training.callbacks.base import Callback
from mvideo_core.training.distributed import World
from mvideo_core.training.schedules import RateOptions, rate_at

if TYPE_CHECKING:
    import torch
    from torch.nn import Parameter

log = logging.getLogger(__name__)


class OptimizerOptions(Options):
    """Adam. The paper says "Adam, 2e-4"; betas and clipping are our choice."""

    rate: RateOptions = Field(default=RateOptions(), description="learning rate over the steps")
    betas: tuple[float, float] = Field(default=(0.9, 0.95), description="decay of Adam's two running means")
    eps: float = Field(default=1e-8, gt=0, description="added to the root of the second mean")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 term of Adam; 0: none")
    clip_norm: float = Field(default=1.0, ge=0, description="largest L2 norm of the whole gradient; 0: no clipping")


class Objective(Protocol):
    """What the loop asks of a model."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts of the loss."""

    def loss(self, batch: Any) -> Any:
        """An object with `total` (scalar to differentiate) and `parts` (name -> detached scalar)."""


class MicroBatches(Protocol):
    """What the loop asks of the data."""

    def step(self, step: int) -> Iterator[Any]:
        """This rank's micro-batches of a step, each of the same size on every rank."""


class Trainer:
    """State of a training on one rank.

    Args:
        objective: gives the loss.
        parameters: name -> trainable parameter, fp32, in the same order on all ranks.
        feed: micro-batches.
        n_micro: micro-batches of one step on this rank.
        steps: optimizer steps in all.
    """

    def __init__(
        self,
        objective: Objective,
        parameters: "dict[str, Parameter]",
        feed: MicroBatches,
        world: World,
        *,
        n_micro: int,
        steps: int,
        options: OptimizerOptions | None = None,
        callbacks: Sequence[Callback] = (),
    ):
        self.objective, self.parameters, self.feed, self.world = objective, parameters, feed, world
        self.n_micro, self.steps, self.options = n_micro, steps, options or OptimizerOptions()
        self.callbacks = list(callbacks)
        self.step = 0
        self.stop_asked = self.stopped = False
        self.optimizer = _adam(list(parameters.values()), self.options)
        self._flat = flat_gradients(parameters, n_more=2 + len(objective.parts))

    def fit(self) -> None:
        """Train up to `steps`, or to the end of the step in which any rank was asked to stop.

        Raises:
            TrainError: a loss or gradient is not finite; raised on all ranks in the same step, weights untouched.
        """
        for callback in self.callbacks:
            callback.on_start(self)
        while self.step < self.steps and not self.stopped:
            metrics = self.train_step()
            for callback in self.callbacks:
                callback.on_step(self, metrics)
        for callback in self.callbacks:
            callback.on_end(self)

    def train_step(self) -> dict[str, float]:
        """One optimizer step; returns its metrics, the same on all ranks but for times and memory."""
        began_s = time.perf_counter()
        self._flat.zero_()
        tail = self._flat[-2 - len(self.objective.parts) :]
        waited_s = 0.0
        keys: list[str] = []
        batches = self.feed.step(self.step)
        for _ in range(self.n_micro):
            asked_s = time.perf_counter()
            batch = next(batches)
            waited_s += time.perf_counter() - asked_s
            keys += getattr(batch, "keys", ())
            losses = self.objective.loss(batch)
            (losses.total / self.n_micro).backward()
            tail[0] += losses.total.detach() / self.n_micro
            for n, name in enumerate(self.objective.parts):
                tail[1 + n] += losses.parts[name] / self.n_micro
        mine = float(tail[0])
        tail[-1] = float(self.stop_asked)
        self.world.sum_(self._flat).div_(self.world.size)

        gradient = self._flat[: -len(tail)]
        norm = float(gradient.norm())
        total, *parts, stop = tail.tolist()
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise self._not_finite(total, norm, mine, keys)
        if 0 < self.options.clip_norm < norm:
            gradient.mul_(self.options.clip_norm / (norm + 1e-6))
        rate = rate_at(self.options.rate, self.step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.step += 1
        self.stopped = stop > 0

        names = [f"train/loss_{name}" for name in self.objective.parts]
        return {
            "train/loss": total,
            **dict(zip(names, parts, strict=True)),
            "train/grad_norm": norm,
            "train/rate": rate,
            "perf/step_s": time.perf_counter() - began_s,
            "perf/data_wait_s": waited_s,
        }

    def _not_finite(self, total: float, norm: float, mine: float, keys: list[str]) -> TrainError:
        """All ranks come here together, so they may speak to each other."""
        told = self.world.gather((mine, keys))
        bad = [f"rank {rank}: loss {loss}, samples {', '.join(ks)}" for rank, (loss, ks) in enumerate(told)]
        bad = [line for line, (loss, _) in zip(bad, told, strict=True) if not math.isfinite(loss)]
        where = "; ".join(bad) or "every loss is finite, a gradient is not"
        return TrainError(
            f"step {self.step}: loss {total}, gradient norm {norm}; finite values are expected. {where}. Weights are "
            "as after the last good step. Look at these samples, lower the learning rate or the clip norm, and start "
            "again: the run goes on from its newest checkpoint"
        )


def flat_gradients(parameters: "dict[str, Parameter]", n_more: int = 0) -> "torch.Tensor":
    """One fp32 buffer whose parts become the `.grad` of all parameters, with `n_more` free numbers at the end."""
    import torch

    params = list(parameters.values())
    for name, parameter in parameters.items():
        assert parameter.dtype == torch.float32, f"{name} is {parameter.dtype}; trainable parameters are kept in fp32"
    flat = torch.zeros(sum(p.numel() for p in params) + n_more, device=params[0].device)
    for parameter, part in zip(params, flat.split([*(p.numel() for p in params), n_more]), strict=False):
        parameter.grad = part.view_as(parameter)
    return flat


def _adam(parameters: "list[Parameter]", options: OptimizerOptions) -> "torch.optim.Adam":
    import torch

    fused = parameters[0].device.type == "cuda"
    return torch.optim.Adam(
        parameters, options.rate.peak, options.betas, options.eps, options.weight_decay, fused=fused
    )
