"""TensorBoard and Weights & Biases: the values of metrics.jsonl, one per step, across all resumes.

A resumed run repeats the steps after its newest checkpoint. TensorBoard drops the old values of these steps
(`purge_step`). W&B keeps the old values and skips the new ones, which are the same unless options were deliberately
changed. If a requested tracker is not installed, the run ends before anything is loaded. W&B was tested only offline:
with `WANDB_MODE=offline` everything stays in `wandb/` until `wandb sync`.
"""

import importlib.util
import json
import logging
import uuid
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError, ModelError, StoreError
from mvideo_core.base.options import Options

log = logging.getLogger(__name__)
METRICS = "metrics.jsonl"
TENSORBOARD, WANDB_NOTE = "tensorboard", "wandb.json"


class MetricOptions(Options):
    """What is logged, and where."""

    every: int = Field(
        default=10, ge=1, description="steps between lines of metrics.jsonl; validation always writes one"
    )
    tensorboard: bool = Field(default=False, description="also write event files under tensorboard/ of the run folder")
    wandb_project: str = Field(
        default="",
        description="also log to this Weights & Biases project; needs wandb. WANDB_MODE=offline keeps it local",
    )


class Tracker(Protocol):
    """A destination for metrics besides metrics.jsonl."""

    def add(self, step: int, numbers: dict[str, float], notes: dict[str, str]) -> None:
        """Log the finite numbers and texts of a step."""

    def close(self, failed: bool) -> None:
        """Flush everything."""


def check_extras(options: MetricOptions) -> None:
    """Check for a missing extra before anything is loaded.

    Raises:
        ModelError: a requested tracker is not installed; the message has the install line.
    """
    wanted = {"tensorboard": options.tensorboard, "wandb": bool(options.wandb_project)}
    for name, requested in wanted.items():
        if requested and importlib.util.find_spec(name) is None:
            raise ModelError(
                f"metrics: {name} is requested but not installed; run `pip install {name}`, or turn it off: "
                f"{METRICS} is always written"
            )


def open_trackers(options: MetricOptions, run: Path, step: int, options_seen: dict[str, Any]) -> list[Tracker]:
    """The requested trackers.

    Args:
        run: run folder.
        step: steps done.
        options_seen: the run configuration shown in W&B.

    Raises:
        ConfigError: W&B does not start.
    """
    trackers: list[Tracker] = []
    if options.tensorboard:
        trackers.append(TensorBoard(run / TENSORBOARD, step))
    if options.wandb_project:
        trackers.append(Wandb(run, options.wandb_project, options_seen))
    return trackers


class TensorBoard:
    """One event file per start of the run; every line is flushed, so that a kill loses none."""

    def __init__(self, folder: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def add(self, step: int, numbers: dict[str, float], notes: dict[str, str]) -> None:
        """Log scalars and texts under their names."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        for name, text in notes.items():
            self._writer.add_text(name, text, step)
        self._writer.flush()

    def close(self, failed: bool) -> None:
        """Close the file."""
        self._writer.close()


class Wandb:
    """One W&B run over all starts: its id and its last step are stored in the run folder."""

    def __init__(self, run: Path, project: str, options_seen: dict[str, Any]):
        import wandb

        self._note = run / WANDB_NOTE
        self._id, self._last = _read_note(self._note)
        self._write_note()
        try:
            self._run = wandb.init(project=project, id=self._id, resume="allow", dir=str(run))
        except (wandb.Error, OSError) as error:
            raise ConfigError(
                f"metrics.wandb_project {project}: W&B does not start ({error}); run `wandb login`, set "
                f"WANDB_MODE=offline, or turn it off: {METRICS} is always written"
            ) from None
        self._run.config.update(options_seen, allow_val_change=True)

    def add(self, step: int, numbers: dict[str, float], notes: dict[str, str]) -> None:
        """Log numbers and texts of a step that W&B does not have yet."""
        if step <= self._last:
            if notes:
                log.warning("W&B has step %d already and keeps its first values; %s has the new ones", step, METRICS)
            return
        self._run.log({**numbers, **notes}, step=step)
        self._last = step
        self._write_note()

    def close(self, failed: bool) -> None:
        """Mark the W&B run as finished, or as failed."""
        self._run.finish(exit_code=int(failed))

    def _write_note(self) -> None:
        write_whole(self._note, json.dumps({"id": self._id, "step": self._last}))


def _read_note(note: Path) -> tuple[str, int]:
    """Id of the run folder's W&B run, and its last step; a new id and 0 if it has none yet."""
    if not note.exists():
        return uuid.uuid4().hex[:8], 0
    try:
        kept = json.loads(note.read_text(encoding="utf-8"))
        return str(kept["id"]), int(kept["step"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{note}: cannot be read ({error!r}); delete it to log to a new W&B run") from None
