"""The training loop: fetch, forward, backward, accumulate, average; clip, step, schedule, hooks.

It only needs a `loss(batch)` and parameters, and knows nothing about video models. "Step" always means an optimizer
step. Gradients are in one flat fp32 buffer, each parameter's `.grad` a view of it; the losses and the stop flag are
appended to it, so one all-reduce gives every rank the same gradients, the same losses and the same decision.
"""

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from mvideo_core.base.errors import TrainError
from mvideo_core.base.options import Options
from mvideo_core.training.callbacks.base import Callback
from mvideo_core.training.diagnosis import diagnose
from mvideo_core.training.distributed import World
from mvideo_core.training.option_changes import Change
from mvideo_core.training.schedules import RateOptions, rate_at

if TYPE_CHECKING:
    import torch
    from torch.nn import Parameter

log = logging.getLogger(__name__)


class OptimizerOptions(Options):
    """Adam. The paper says "Adam, 2e-4"; betas and clipping are our choice."""

    rate: RateOptions = Field(default=RateOptions(), description="learning rate over the steps")
    betas: tuple[float, float] = Field(default=(0.9, 0.95), description="decay of Adam's two moments")
    eps: float = Field(default=1e-8, gt=0, description="added to the root of the second moment")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 term of Adam; 0: none")
    clip_norm: float = Field(default=1.0, ge=0, description="largest L2 norm of the whole gradient; 0: no clipping")


class Objective(Protocol):
    """What the loop needs from a model; all but `parts` and `loss` serve the diagnosis of a non-finite step."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts of the loss."""

    def loss(self, batch: Any) -> Any:
        """An object with `total` (scalar to differentiate) and `parts` (name -> detached scalar)."""

    def inputs(self, batch: Any) -> "list[tuple[str, torch.Tensor | None]]":
        """The batch's tensors, described in words."""

    def weights(self) -> "Iterator[tuple[str, torch.Tensor]]":
        """Every weight by name."""

    def watch(self, observe: Any) -> contextlib.AbstractContextManager[None]:
        """Inside the block, `observe(place, words, tensor)` receives the loss's intermediate tensors."""


class MicroBatches(Protocol):
    """What the loop needs from the data."""

    def step(self, step: int) -> Iterator[Any]:
        """This rank's micro-batches of a step, each of the same size on every rank."""


class Trainer:
    """State of a training run on one rank.

    Args:
        objective: computes the loss.
        parameters: name -> trainable parameter, fp32, in the same order on all ranks.
        feed: micro-batches.
        n_micro: micro-batches per step on this rank.
        steps: total optimizer steps.
        skip_nonfinite: consecutive non-finite steps that may be skipped.

    Attributes:
        step: optimizer steps done, skipped ones included.
        skipped, skipped_in_a_row: steps without update, in total and most recently in a row.
        changed: options changed on purpose at this start of the run.
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
        skip_nonfinite: int = 0,
        callbacks: Sequence[Callback] = (),
    ):
        self.objective, self.parameters, self.feed, self.world = objective, parameters, feed, world
        self.n_micro, self.steps, self.options = n_micro, steps, options or OptimizerOptions()
        self.callbacks = list(callbacks)
        self.step = 0
        self.stop_requested = self.stopped = False
        self.skip_nonfinite = skip_nonfinite
        self.skipped = self.skipped_in_a_row = 0
        self.changed: list[Change] = []
        self.optimizer = _adam(list(parameters.values()), self.options)
        self._flat = flat_gradients(parameters, n_more=2 + len(objective.parts))

    def fit(self) -> None:
        """Train up to `steps`, or to the end of the step in which any rank received a stop request.

        Raises:
            TrainError: more than `skip_nonfinite` steps in a row have a non-finite loss or gradient; raised on all
                ranks in the same step, weights unchanged.
        """
        failed = True
        try:
            for callback in self.callbacks:
                callback.on_start(self)
            while self.step < self.steps and not self.stopped:
                metrics = self.train_step()
                for callback in self.callbacks:
                    callback.on_step(self, metrics)
            for callback in self.callbacks:
                callback.on_end(self)
            failed = False
        finally:
            for callback in self.callbacks:
                callback.close(failed)

    def train_step(self) -> dict[str, Any]:
        """One optimizer step; returns its metrics, the same on all ranks except times and memory.

        A skipped step counts: data, noise and learning rate advance; weights and Adam stay.
        """
        import torch

        began_s = time.perf_counter()
        batches, waited_s = self._accumulate()
        self.world.sum_(self._flat).div_(self.world.size)
        n_tail = 2 + len(self.objective.parts)
        gradient, tail = self._flat[:-n_tail], self._flat[-n_tail:]
        # The only wait for the GPU in a step.
        norm, total, *parts, stop = torch.cat([gradient.norm()[None], tail]).tolist()
        rate = rate_at(self.options.rate, self.step, self.steps)
        metrics: dict[str, Any] = {}
        if math.isfinite(total) and math.isfinite(norm):
            self._update(gradient, norm, rate)
            self.skipped_in_a_row = 0
            names = [f"train/loss_{name}" for name in self.objective.parts]
            metrics = {"train/loss": total, **dict(zip(names, parts, strict=True)), "train/grad_norm": norm}
        else:
            metrics = {"skipped": self._skip(total, norm, batches)}
        self.step += 1
        self.stopped = stop > 0
        if self.skipped:
            metrics["train/skipped"] = self.skipped
        return metrics | {
            "train/rate": rate,
            "perf/step_s": time.perf_counter() - began_s,
            "perf/data_wait_s": waited_s,
        }

    def _accumulate(self) -> tuple[list[Any], float]:
        """Forward and backward of this rank's micro-batches; returns them, and the seconds spent waiting for data."""
        self._flat.zero_()
        tail = self._flat[-2 - len(self.objective.parts) :]
        waited_s = 0.0
        batches: list[Any] = []
        made = self.feed.step(self.step)
        for _ in range(self.n_micro):
            before_s = time.perf_counter()
            batches.append(next(made))
            waited_s += time.perf_counter() - before_s
            losses = self.objective.loss(batches[-1])
            (losses.total / self.n_micro).backward()
            tail[0] += losses.total.detach() / self.n_micro
            for n, name in enumerate(self.objective.parts):
                tail[1 + n] += losses.parts[name] / self.n_micro
        tail[-1] = float(self.stop_requested)
        return batches, waited_s

    def _update(self, gradient: "torch.Tensor", norm: float, rate: float) -> None:
        if 0 < self.options.clip_norm < norm:
            gradient.mul_(self.options.clip_norm / (norm + 1e-6))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()

    def _skip(self, total: float, norm: float, batches: list[Any]) -> str:
        """Count a non-finite step and find out why; all ranks call this together, so they may communicate.

        Raises:
            TrainError: it is one more in a row than may be skipped.
        """
        found = diagnose(self, batches)
        self.skipped += 1
        self.skipped_in_a_row += 1
        what = f"step {self.step}: loss {total}, gradient norm {norm}; expected finite values. {found.text}"
        if self.skipped_in_a_row <= self.skip_nonfinite:
            log.warning("%s. Skipped: %d in a row, %d allowed", what, self.skipped_in_a_row, self.skip_nonfinite)
            return found.text
        reasons = [callback.on_not_finite(self, found.weights_suspected) for callback in self.callbacks]
        if self.skip_nonfinite:
            reasons.insert(
                0, f"This is number {self.skipped_in_a_row} in a row, skip_nonfinite is {self.skip_nonfinite}"
            )
        raise TrainError(". ".join([what, *filter(None, reasons)]))


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
