"""With `execution.compile`, all that a run will compute is compiled before the first step, so that no later step waits.

`torch.compile` makes one graph of the transformer's block for each combination of

* tokens: text and clip alone, with the last frame, with the last frame and motion;
* batch: the micro-batch in training, 1 in validation, one per branch of guidance in sample videos;
* gradients: on for the student (the trained model) in training, off for everything else;
* adapters: on for the student, off for the teacher (the base model).

A step draws one of three histories, and the options fix the rest. So a run has a handful of graphs, all known in
advance: six for `mvideo-2b` and `mvideo-5b`. Kinds of history (none, appearance only, both) whose share in `draws.*` is
zero get no graph. Masks, dropped texts, timesteps and the swap to EMA weights change only values, not shapes. If a
graph is compiled later, a warning is logged.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mvideo_core.cogvideox.guidance import Guidance
from mvideo_core.training.callbacks.base import Callback
from mvideo_core.training.callbacks.samples import SampleVideos
from mvideo_core.training.callbacks.validation import Validation, validation_draws
from mvideo_core.training.draws import History, histories

if TYPE_CHECKING:
    import numpy as np

    from mvideo_core.training.batches import BatchMaker
    from mvideo_core.training.loop import Trainer
    from mvideo_core.training.losses import MVideoObjective
    from mvideo_core.training.options import TrainOptions
    from mvideo_core.training.phases import Say
    from mvideo_core.training.sample_order import Samples

log = logging.getLogger(__name__)


class Graph(NamedTuple):
    """What one compiled graph computes."""

    model: Literal["student", "teacher"]
    batch: int
    history: History
    gradients: bool


def plan_graphs(options: "TrainOptions", validated: bool, shown: set[History]) -> list[Graph]:
    """The graphs of a run on one rank.

    Args:
        validated: whether this rank takes part in validation.
        shown: histories of the sample videos that this rank makes.
    """
    drawn, taught = histories(options.draws), options.consistency.alpha > 0
    graphs = [Graph("student", options.micro_batch, history, True) for history in drawn]
    if taught:
        graphs.append(Graph("teacher", options.micro_batch, "none", False))
        if options.consistency.prediction == "extra_forward":
            graphs.append(Graph("student", options.micro_batch, "none", True))
    if validated:
        graphs.append(Graph("student", 1, "both" if options.draws.history_none < 1 else "none", False))
        if taught:
            graphs.append(Graph("teacher", 1, "none", False))
            if options.consistency.prediction == "extra_forward":
                graphs.append(Graph("student", 1, "none", False))
    branches = len(Guidance(options.samples.guidance_scale).branches(has_mask=True))
    graphs += [Graph("student", branches, history, False) for history in sorted(shown)]
    return list(dict.fromkeys(graphs))


class WarmUp(Callback):
    """Runs each graph once before the first step, then watches for new ones (`CompiledGraphs.seal`).

    Sample videos are actually generated, with one denoising step, so VAE and memory are tested, too.

    Args:
        samples: where to take a training sample from.
        train: indices of the training samples.
        maker: makes training batches.
        say: called with the part to be compiled next.
    """

    def __init__(
        self,
        options: "TrainOptions",
        objective: "MVideoObjective",
        samples: "Samples[Any]",
        train: "Sequence[int] | np.ndarray",
        maker: "BatchMaker",
        validation: Validation,
        videos: SampleVideos,
        say: "Say" = log.info,
    ):
        self.options, self.objective, self.samples, self.train = options, objective, samples, train
        self.maker, self.validation, self.videos, self.say = maker, validation, videos, say

    def on_start(self, trainer: "Trainer") -> None:
        """Compile, and log how many graphs and how long it took."""
        graphs = self.objective.transformer.graphs
        if trainer.step >= trainer.steps:
            return
        began_s = time.perf_counter()
        shown = self.videos.histories(trainer.world)
        planned = plan_graphs(self.options, self.validation.takes_part(trainer.world), shown)
        log.info("torch.compile: %d graphs to compile before step %d", len(planned), trainer.step + 1)
        runs: list[Callable[[], None]] = [lambda h=history: self._train(h) for history in histories(self.options.draws)]  # type: ignore[misc]
        runs += [lambda: self.validation.warm_up(trainer.world), lambda: self.videos.warm_up(trainer.world)]
        for part, run in enumerate(runs, 1):
            self.say(f"compiling, part {part} of {len(runs)}: {len(planned)} graphs in all")
            before, run_s = len(graphs.made), time.perf_counter()
            run()
            if made := graphs.made[before:]:
                log.info("torch.compile: %s (%.0f s)", "; ".join(made), time.perf_counter() - run_s)
        log.info("torch.compile: %d graphs in %.0f s", len(graphs.made), time.perf_counter() - began_s)
        if len(graphs.made) != len(planned):
            log.warning("torch.compile: %d graphs were planned: %s", len(planned), planned)
        graphs.seal()

    def _train(self, history: History) -> None:
        """Forward and backward of a micro-batch; the gradients are zeroed when the step starts."""
        import torch

        batch, sigma = self.options.micro_batch, self.options.draws.history_sigma
        drawn = validation_draws(0, batch, history, sigma, self.maker.schedule)
        samples = [self.samples.get(int(self.train[0]))] * batch
        made = self.maker.batch(drawn, range(batch), samples, torch.ones(batch))
        self.objective.loss(made).total.backward()
