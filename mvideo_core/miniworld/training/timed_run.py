"""What the mini trainings share: the loop, seconds as the measure of progress, checkpoint, curve, optimizer step."""

import json
import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvideo_core.base.cpu_kernels import half_precision_advice
from mvideo_core.base.errors import TrainError
from mvideo_core.miniworld.training import checkpoint

if TYPE_CHECKING:
    import torch
    from torch import Tensor

log = logging.getLogger(__name__)


class TimedRun(ABC):
    """Everything a run holds besides its networks; a training adds those and its own step.

    Attributes:
        checkpoint_file, curve_file: their names in the folder `out`.
        weights_key: what the checkpoint calls the weights.
        digits: of the curve's figures after the point.
        clip_norm: limit of the gradient's norm.
        out: folder of the run.
        device: "cpu", or "cuda" where a training can use it.
        mean: running mean of the weights, by name.
        step: optimizer steps so far.
        seconds: of training so far, earlier calls counted in (see `clock`).
    """

    checkpoint_file: str
    curve_file: str
    weights_key = "weights"
    digits = 5
    clip_norm = 1.0

    out: Path
    device = "cpu"
    mean: "dict[str, Tensor]"
    optimizer: "torch.optim.Optimizer"
    step = 0
    seconds = 0.0

    @abstractmethod
    def weights(self) -> "dict[str, Tensor]":
        """What the checkpoint keeps of the networks."""

    @abstractmethod
    def take_weights(self, weights: "dict[str, Tensor]") -> None:
        """Gives the networks what `weights` returned in an earlier run."""

    @abstractmethod
    def average(self) -> None:
        """Moves the running mean of the weights; called after every step, `step` being the number of steps done."""

    def train_until(
        self, done: Callable[[], bool], step: Callable[[], dict[str, float]], report_steps: int, save_every_s: float,
        between: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """The training loop.

        Args:
            done: asked before every step.
            step: one optimizer step; returns figures, whose means are reported.
            report_steps: between two lines of the curve.
            save_every_s: seconds of training between two checkpoints; there is one more at the end.
            between: called after every step; its time does not count.
        """
        saved_s = self.seconds
        figures: dict[str, list[float]] = {}
        while not done():
            began = self.clock()
            for name, value in step().items():
                figures.setdefault(name, []).append(value)
            self.seconds += self.clock() - began
            if self.step % report_steps == 0:
                self.report(self.facts() | {name: float(np.mean(values)) for name, values in figures.items()})
                figures = {}
            if self.seconds - saved_s > save_every_s:
                self.save()
                saved_s = self.seconds
            if between:
                between()
        self.save()

    def time_limit(self, minutes: float, until_s: float) -> Callable[[], bool]:
        """Whether the run has used `minutes` in all, or `until_s` seconds from now on."""
        began_s = self.seconds
        return lambda: self.seconds >= 60 * minutes or self.seconds - began_s >= until_s

    def facts(self) -> dict[str, Any]:
        """What a line of the curve says besides the means."""
        return {}

    def clock(self) -> float:
        """Seconds of CPU, so that a busy machine does not change the schedule; on a GPU, of the clock."""
        return time.process_time() if self.device == "cpu" else time.monotonic()

    def advise(self, bfloat16: bool) -> None:
        """Warns where autocast would make this machine slower instead of faster."""
        if bfloat16 and self.device == "cpu" and (advice := half_precision_advice("bf16")):
            log.warning("%s", advice)

    def descend(self, loss: "Tensor", parameters: "Iterable[Tensor]") -> float:
        """One optimizer step, gradients clipped to `clip_norm`; then the mean moves.

        Returns:
            Norm of the gradients of `parameters` before clipping.

        Raises:
            TrainError: the loss is not finite; nothing was changed.
        """
        import torch

        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainError(
                f"the loss is {value} at step {self.step}; go on from the last checkpoint with a lower rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        self.optimizer.step()
        self.step += 1
        self.average()
        return float(norm)

    def report(self, values: dict[str, Any]) -> None:
        """One line of the curve: step, minutes, then the values, figures rounded."""
        shown = {
            k: round(float(v), self.digits) if isinstance(v, float | np.floating) else v for k, v in values.items()
        }
        line = json.dumps({"step": self.step, "min": round(self.seconds / 60, 2), **shown})
        log.info("%s", line)
        with (self.out / self.curve_file).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def save(self) -> None:
        """Replaces the checkpoint at once."""
        checkpoint.save(self.out / self.checkpoint_file, self.state())

    def state(self) -> dict[str, Any]:
        """What the checkpoint holds."""
        return {
            self.weights_key: self.weights(), "mean": self.mean, "optimizer": self.optimizer.state_dict(),
            "step": self.step, "seconds": self.seconds,
        }  # fmt: skip

    def take_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` returned in an earlier run."""
        self.take_weights(state[self.weights_key])
        self.optimizer.load_state_dict(state["optimizer"])
        self.mean, self.step, self.seconds = state["mean"], state["step"], state["seconds"]

    def resume(self) -> bool:
        """Takes up the checkpoint of an earlier run, if there is one.

        Raises:
            ConfigError: the checkpoint is of another training or size.
            StoreError: it is damaged.
        """
        path = self.out / self.checkpoint_file
        state = checkpoint.load(path, self.device)
        if state is None:
            return False
        with checkpoint.state_errors(path):
            self.take_state(state)
        return True
