"""Shared training loop of the mini models: progress in seconds, checkpoint, curve, optimizer step."""

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

    from mvideo_core.miniworld.training.muon import MuonWithAdamW

log = logging.getLogger(__name__)


class TimedRun(ABC):
    """State of a run except its networks; a subclass adds those and its own step.

    Attributes:
        checkpoint_file, curve_file: file names in the folder `out`.
        weights_key: key of the weights in the checkpoint.
        digits: decimals of the curve's values.
        clip_norm: maximum gradient norm.
        out: folder of the run.
        device: "cpu", or "cuda" where training can use it.
        mean: running mean of the weights, by name.
        step: optimizer steps so far.
        seconds: of training so far, including earlier runs (see `clock`).
    """

    checkpoint_file: str
    curve_file: str
    weights_key = "weights"
    digits = 5
    clip_norm = 1.0

    out: Path
    device = "cpu"
    mean: "dict[str, Tensor]"
    optimizer: "torch.optim.Optimizer | MuonWithAdamW"
    step = 0
    seconds = 0.0

    @abstractmethod
    def weights(self) -> "dict[str, Tensor]":
        """Weights to store in the checkpoint."""

    @abstractmethod
    def take_weights(self, weights: "dict[str, Tensor]") -> None:
        """Load the weights that `weights` returned in an earlier run."""

    @abstractmethod
    def average(self) -> None:
        """Update the running mean of the weights; called after every step, with `step` already incremented."""

    def train_until(
        self, done: Callable[[], bool], step: Callable[[], dict[str, float]], report_steps: int, save_every_s: float,
        between: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """The training loop.

        Args:
            done: called before every step; True ends training.
            step: takes one optimizer step and returns values, whose means are reported.
            report_steps: steps between two lines of the curve.
            save_every_s: seconds of training between two checkpoints; another is written at the end.
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
        """CPU seconds, so that a busy machine does not change the schedule; on a GPU, wall seconds."""
        return time.process_time() if self.device == "cpu" else time.monotonic()

    def advise(self, bfloat16: bool) -> None:
        """Warn if autocast would make this machine slower instead of faster."""
        if bfloat16 and self.device == "cpu" and (advice := half_precision_advice("bf16")):
            log.warning("%s", advice)

    def descend(self, loss: "Tensor", parameters: "Iterable[Tensor]") -> float:
        """Take one optimizer step, with gradients clipped to `clip_norm`, and update the running mean.

        Returns:
            Norm of the gradients of `parameters` before clipping.

        Raises:
            TrainError: the loss is not finite; nothing has changed.
        """
        import torch

        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainError(
                f"the loss is {value} at step {self.step}; resume from the last checkpoint with a lower rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        self.optimizer.step()
        self.step += 1
        self.average()
        return float(norm)

    def report(self, values: dict[str, Any]) -> None:
        """Append one line to the curve: step, minutes, then the rounded values."""
        shown = {
            k: round(float(v), self.digits) if isinstance(v, float | np.floating) else v for k, v in values.items()
        }
        line = json.dumps({"step": self.step, "min": round(self.seconds / 60, 2), **shown})
        log.info("%s", line)
        with (self.out / self.curve_file).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def save(self) -> None:
        """Replace the checkpoint atomically."""
        checkpoint.save(self.out / self.checkpoint_file, self.state())

    def state(self) -> dict[str, Any]:
        """Content of the checkpoint."""
        return {
            self.weights_key: self.weights(), "mean": self.mean, "optimizer": self.optimizer.state_dict(),
            "step": self.step, "seconds": self.seconds,
        }  # fmt: skip

    def take_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned in an earlier run."""
        self.take_weights(state[self.weights_key])
        self.optimizer.load_state_dict(state["optimizer"])
        self.mean, self.step, self.seconds = state["mean"], state["step"], state["seconds"]

    def resume(self) -> bool:
        """Resume from the checkpoint of an earlier run, if there is one.

        Raises:
            ConfigError: the checkpoint belongs to another training run or size.
            StoreError: it is damaged.
        """
        path = self.out / self.checkpoint_file
        state = checkpoint.load(path, self.device)
        if state is None:
            return False
        with checkpoint.state_errors(path):
            self.take_state(state)
        return True
