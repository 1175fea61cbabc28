"""metrics.jsonl has one line of numbers per logged step. On request, the numbers also go to TensorBoard and W&B.

The numbers are losses, gradient norm, learning rate, samples per second, wait for data, memory, and `val/*`, all of
them finite. A skipped step has a line, too, with the reason under "skipped"; so does the first step after options were
deliberately changed, with the changes under "changed". After a resume, the metrics of repeated steps are removed, so
every step has one line.
"""

import json
import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import StoreError
from mvideo_core.training.callbacks.base import Callback, is_due
from mvideo_core.training.callbacks.trackers import METRICS, MetricOptions, Tracker, open_trackers

if TYPE_CHECKING:
    from mvideo_core.training.loop import Trainer

log = logging.getLogger(__name__)


class Metrics(Callback):
    """Writes on the first rank. After a resume, lines of steps that will be retrained are removed first.

    Args:
        run: run folder.
        global_batch: for samples per second.
        options_seen: the run configuration shown in W&B.
    """

    def __init__(self, run: Path, options: MetricOptions, global_batch: int, options_seen: dict[str, Any]):
        self.run, self.options, self.global_batch, self.options_seen = run, options, global_batch, options_seen
        self._trackers: list[Tracker] = []
        self._since_step, self._since_s = 0, 0.0

    def on_start(self, trainer: "Trainer") -> None:
        """Open the file and the trackers."""
        self._since_step, self._since_s = trainer.step, time.perf_counter()
        if not trainer.world.first:
            return
        self.run.mkdir(parents=True, exist_ok=True)
        cut_after(self.run / METRICS, trainer.step)
        self._trackers = open_trackers(self.options, self.run, trainer.step, self.options_seen)

    def on_step(self, trainer: "Trainer", metrics: dict[str, Any]) -> None:
        """Add speed and memory, and write the line."""
        changed, trainer.changed = trainer.changed, []
        validated = any(name.startswith("val/") for name in metrics)
        last = trainer.stopped or trainer.step == trainer.steps
        if not (is_due(trainer.step, self.options.every) or validated or last or changed or "skipped" in metrics):
            return
        now_s = time.perf_counter()
        n_samples = (trainer.step - self._since_step) * self.global_batch
        metrics["perf/samples_per_s"] = n_samples / max(now_s - self._since_s, 1e-9)
        metrics["mem/peak_gib"] = peak_gib(trainer)
        self._since_step, self._since_s = trainer.step, now_s
        if not trainer.world.first:
            return
        numbers = {name: _short(v) for name, v in metrics.items() if not isinstance(v, str) and math.isfinite(v)}
        line: dict[str, Any] = {"step": trainer.step, "steps": trainer.steps} | numbers
        notes = {name: text for name, text in metrics.items() if isinstance(text, str)}
        line |= notes
        if changed:
            line["changed"] = [one.model_dump(mode="json") for one in changed]
            notes["changed"] = "; ".join(one.words() for one in changed)
        with (self.run / METRICS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        for tracker in self._trackers:
            tracker.add(trainer.step, numbers, notes)
        log.info("step %d of %d: %s", trainer.step, trainer.steps, loss_words(line))

    def close(self, failed: bool) -> None:
        """Close the trackers."""
        for tracker in self._trackers:
            tracker.close(failed)
        self._trackers = []


def loss_words(line: dict[str, Any]) -> str:
    """ "loss 0.1234" from a line of metrics.jsonl, or that its step was skipped."""
    return f"loss {line['train/loss']:.4f}" if "train/loss" in line else "skipped, not finite"


def read_metrics(run: str | Path) -> list[dict[str, Any]]:
    """Lines of a run's metrics.jsonl, oldest first; a last line cut short by a kill is dropped.

    Raises:
        StoreError: another line is damaged.
    """
    path = Path(run) / METRICS
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            found.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            raise StoreError(f"{path}:{number}: damaged line {line[:40]!r}; delete it") from None
    return found


def cut_after(path: Path, step: int) -> None:
    """Drop the lines of steps after `step`; the file is replaced atomically, or left alone if there are none."""
    if not path.exists():
        return
    lines = read_metrics(path.parent)
    kept = [line for line in lines if line["step"] <= step]
    if kept == lines and path.read_bytes().endswith(b"\n"):
        return
    write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))


def peak_gib(trainer: "Trainer") -> float:
    """Peak memory of this process: on the GPU, or resident in a CPU run."""
    if trainer.world.device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(trainer.world.device) / 2**30
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _short(value: float) -> float:
    return float(f"{value:.6g}")
