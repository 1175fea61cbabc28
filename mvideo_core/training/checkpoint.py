"""Each checkpoint is a folder that is renamed into place when complete. A run resumes from the newest good one.

    checkpoints/step-00001000/
        state.json              step, options that fix the course of the run, dataset digest, size and SHA-256 of files
        optimizer.safetensors   Adam's means and step counts, by parameter
        adapter/                adapters and conditioning as trained, fp32: what MVideoPipeline and diffusers load
        adapter_ema/            the same for the running mean (EMA) of the weights

Random draws, the data position and the learning rate are functions of seed and step. So on one machine, with the same
number of processes and the same `micro_batch`, a resumed run is bit-identical to an uninterrupted one (tested on CPU).

`state.json` has the SHA-256 of every other file and of its own other fields. A checkpoint whose bytes have changed is
renamed to `damaged-step-...`, with a warning. A checkpoint that gives a non-finite loss for every sample of the next
step is renamed to `nonfinite-step-...`. In both cases, the run resumes from the previous checkpoint. No checkpoint is
written from non-finite weights, and none contains a pickle.
"""

import itertools
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.disk import new_folder, sync, write_tensors, write_whole
from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.options import Options, digest, problems_of
from mvideo_core.cogvideox.adapter_files import ADAPTER_FOLDER, adapter_tensors
from mvideo_core.training.diagnosis import first_not_finite
from mvideo_core.training.option_changes import Change

if TYPE_CHECKING:
    import torch

    from mvideo_core.training.loop import Trainer

log = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"
STATE, OPTIMIZER = "state.json", "optimizer.safetensors"
ADAPTER, ADAPTER_EMA = ADAPTER_FOLDER, "adapter_ema"
FIRST_FORM = {ADAPTER: "trainable.safetensors", ADAPTER_EMA: "ema.safetensors"}
"""Checkpoints of layout 1 stored the same tensors twice, the second time by the parameters' names."""
NOT_FINITE, DAMAGED = "nonfinite-", "damaged-"
"""Prefix of a checkpoint that was set aside."""
LAYOUT, READABLE = 2, (1, 2)
"""The layout that is written, and those that can be read."""


class State(Options):
    """state.json: a checkpoint's description of itself."""

    layout: int = Field(default=LAYOUT, description="layout of the folder")
    step: int = Field(default=0, description="optimizer steps done")
    samples_seen: int = Field(default=0, description="step x global batch")
    seed: int = Field(default=0, description="of all draws")
    world_size: int = Field(default=1, description="processes that trained; a resume may use a different number")
    course: dict[str, Any] = Field(
        default={}, description="options that fix the course, and digests of base weights and first adapter"
    )
    data: str = Field(default="", description="digest of the latents trained on")
    changes: list[Change] = Field(default=[], description="options changed on purpose during the run")
    skipped: int = Field(default=0, description="non-finite steps, without update")
    skipped_in_a_row: int = Field(default=0, description="of these, the last consecutive ones before this checkpoint")
    files: dict[str, int] = Field(default={}, description="every other file of the folder and its size in bytes")
    sha256: dict[str, str] = Field(default={}, description="digest of each of these files; earlier versions wrote none")
    own_digest: str = Field(default="", description="digest of the rest of this file; earlier versions wrote none")

    @property
    def content_digest(self) -> str:
        """The correct value of `own_digest`."""
        return digest(self.model_dump(mode="json", exclude={"own_digest"}))


def folder_of(checkpoints: Path, step: int) -> Path:
    """Folder of the checkpoint after that many steps."""
    return checkpoints / f"step-{step:08d}"


def list_complete(checkpoints: Path) -> list[Path]:
    """Complete checkpoints, oldest first. Those with a missing or truncated file are skipped; no content is read."""
    return [path for path in _of_steps(checkpoints) if _is_whole(path)]


def read_state(folder: Path) -> State:
    """state.json of a checkpoint.

    Raises:
        StoreError: not readable, or a different layout.
    """
    try:
        state = State.parse(json.loads((folder / STATE).read_text(encoding="utf-8")), str(folder / STATE))
    except (OSError, ValueError, ConfigError) as error:
        raise StoreError(
            f"{folder}: no readable {STATE} ({problems_of(error)}); delete this folder to resume from an earlier one"
        ) from None
    if state.layout not in READABLE:
        raise StoreError(f"{folder}: layout {state.layout}, this version reads {READABLE}; start a new run folder")
    return state


def save(checkpoints: Path, trainer: "Trainer", state: State, export: Callable[[Path, int], None], keep: int) -> Path:
    """Write the checkpoint of the trainer's step; call it on the first rank only.

    Args:
        state: step, skipped steps, files and their digests are filled in here.
        export: writes the adapter folders of a step below a given folder.
        keep: number of newest complete checkpoints to keep; 0 keeps all.

    Raises:
        StoreError: disk error; nothing of this checkpoint is left behind.
    """
    folder = folder_of(checkpoints, trainer.step)
    for stale in checkpoints.glob(".step-*.part"):
        shutil.rmtree(stale, ignore_errors=True)
    with new_folder(folder, replace=True, synced=True) as part:
        _write_optimizer(part, trainer)
        export(part, trainer.step)
        files = {str(path.relative_to(part)): path for path in sorted(part.rglob("*")) if path.is_file()}
        now: dict[str, Any] = {
            "step": trainer.step, "skipped": trainer.skipped, "skipped_in_a_row": trainer.skipped_in_a_row,
            "files": {name: path.stat().st_size for name, path in files.items()},
            "sha256": {name: file_sha256(path) for name, path in files.items()},
        }  # fmt: skip
        full = state.model_copy(update=now)
        full = full.model_copy(update={"own_digest": full.content_digest})
        write_whole(part / STATE, full.model_dump_json(indent=1))
    for old in list_complete(checkpoints)[:-keep] if keep else []:
        shutil.rmtree(old)
    return folder


def load(folder: Path, trainer: "Trainer") -> None:
    """Load a checkpoint into the trainer: parameters, optimizer, callbacks, step.

    Raises:
        StoreError: a parameter is missing or has another shape.
    """
    import torch

    values = weights_of(folder, ADAPTER)
    if set(values) != set(trainer.parameters):
        odd = sorted(set(values) ^ set(trainer.parameters))[:4]
        raise StoreError(f"{folder / ADAPTER}: its parameters are not this model's, e.g. {', '.join(odd)}")
    with torch.no_grad():
        for name, parameter in trainer.parameters.items():
            if values[name].shape != parameter.shape:
                seen, wanted = tuple(values[name].shape), tuple(parameter.shape)
                raise StoreError(f"{folder / ADAPTER}: {name} has shape {seen}, the model's is {wanted}")
            parameter.copy_(values[name])
    _load_optimizer(folder, trainer)
    for callback in trainer.callbacks:
        callback.load(folder)
    state = read_state(folder)
    trainer.step = state.step
    trainer.skipped, trainer.skipped_in_a_row = state.skipped, state.skipped_in_a_row


def weights_of(folder: Path, adapter: str) -> "dict[str, torch.Tensor]":
    """Tensors of one of a checkpoint's adapters by parameter name; {} if it has none."""
    from safetensors.torch import load_file

    first_form = folder / FIRST_FORM[adapter]
    if first_form.exists():
        return load_file(first_form)
    return adapter_tensors(folder / adapter) if (folder / adapter).is_dir() else {}


def newest_good(checkpoints: Path) -> Path | None:
    """The newest checkpoint whose files are unchanged since written, with finite weights and Adam moments.

    Newer ones are set aside. Call it in one process. None: there is no such checkpoint.
    """
    whole = list_complete(checkpoints)
    for folder in reversed(_of_steps(checkpoints)):
        if folder not in whole:
            log.warning("%s: %s unreadable, or a file missing or truncated; skipped", folder, STATE)
            continue
        if damaged := find_damage(folder):
            why, prefix = f"{damaged} has changed since it was written", DAMAGED
        elif bad := _not_finite_in(folder):
            why, prefix = f"{bad} is not finite", NOT_FINITE
        else:
            return folder
        aside = set_aside(folder, prefix)
        before = list_complete(checkpoints)
        instead = f"resuming from {before[-1].name}" if before else "starting at step 0"
        log.warning("%s: %s; set aside as %s, %s", folder, why, aside.name, instead)
    return None


def find_damage(folder: Path) -> str:
    """Name of the first file of a checkpoint whose bytes have changed since it was written; "" if none."""
    state = read_state(folder)
    if state.own_digest and state.own_digest != state.content_digest:
        return STATE
    return next((name for name, known in sorted(state.sha256.items()) if file_sha256(folder / name) != known), "")


def set_aside(folder: Path, prefix: str = NOT_FINITE) -> Path:
    """Rename a checkpoint so that no run resumes from it; returns its new path."""
    aside = folder.with_name(f"{prefix}{folder.name}")
    if aside.exists():
        shutil.rmtree(aside)
    folder.rename(aside)
    sync(folder.parent)
    return aside


def _write_optimizer(part: Path, trainer: "Trainer") -> None:
    state = trainer.optimizer.state
    moments = {
        f"{name}/{key}": value
        for name, parameter in trainer.parameters.items()
        for key, value in state.get(parameter, {}).items()
    }
    write_tensors(part / OPTIMIZER, moments)


def _not_finite_in(folder: Path) -> str:
    """Name of the first non-finite tensor of a checkpoint; "" if all are finite."""
    from safetensors import safe_open

    with safe_open(folder / OPTIMIZER, "pt") as tensors:
        means = ((name, tensors.get_tensor(name)) for name in tensors.keys())  # noqa: SIM118
        return first_not_finite(itertools.chain(weights_of(folder, ADAPTER).items(), means))


def _load_optimizer(folder: Path, trainer: "Trainer") -> None:
    from safetensors.torch import load_file

    numbers = {name: n for n, name in enumerate(trainer.parameters)}
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(folder / OPTIMIZER).items():
        name, _, what = key.rpartition("/")
        state.setdefault(numbers[name], {})[what] = value
    whole = trainer.optimizer.state_dict()
    trainer.optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


def _of_steps(checkpoints: Path) -> list[Path]:
    """Folders with checkpoint names, oldest first."""
    return sorted(path for path in checkpoints.glob("step-*") if path.name[5:].isdigit())


def _is_whole(folder: Path) -> bool:
    try:
        state = read_state(folder)
        sizes_fit = all((folder / name).stat().st_size == size for name, size in state.files.items())
        return sizes_fit and OPTIMIZER in state.files and folder.name == folder_of(folder.parent, state.step).name
    except (StoreError, OSError):
        return False
