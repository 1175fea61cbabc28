"""Where a run starts: at its newest checkpoint, checked against the current options, or at step 0."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.base import weights_identity
from mvideo_core.training.checkpoint import CHECKPOINTS, State, load, newest_good, read_state
from mvideo_core.training.distributed import World
from mvideo_core.training.loop import Trainer
from mvideo_core.training.option_changes import BASE, DATA, Change, changes, check_allow, flatten, read_course
from mvideo_core.training.options import TrainOptions
from mvideo_core.training.warm_start import INIT, OTHER_BASE, adapter_identity

log = logging.getLogger(__name__)


class Start(NamedTuple):
    """Where to continue from.

    Attributes:
        folder: checkpoint to load; None starts at step 0.
        course: the options that determine this run, by name; without the latents, which are not open yet.
        before: state of that checkpoint.
        changed: differences that were allowed.
    """

    folder: Path | None
    course: dict[str, Any]
    before: State
    changed: list[Change]

    def with_data(self, options: TrainOptions, data: str) -> "Start":
        """The same start after also checking the digest of the latents.

        Raises:
            ConfigError: the latents differ, which is not allowed.
        """
        if self.folder is None:
            return self
        then, now = {DATA: f"sha256:{self.before.data}"}, {DATA: f"sha256:{data}"}
        more = changes(str(self.folder), self.before.step, then, now, options.allow)
        return self._replace(changed=self.changed + more)

    def state(self, options: TrainOptions, world: World, data: str) -> State:
        """The contents of every checkpoint's state in this run, apart from its step."""
        return State(
            seed=options.seed, world_size=world.size, course=self.course, data=data,
            changes=[*self.before.changes, *self.changed],
        )  # fmt: skip


def find_start(options: TrainOptions, world: World) -> Start:
    """The newest good checkpoint and how the options differ from it; the same on all ranks. Nothing large is loaded.

    Raises:
        ConfigError: it was trained with other options, or the machines have different run folders or base weights.
    """
    course = options.course() | {BASE: _base(options, world), INIT: adapter_identity(options.init_adapter)}
    check_allow(options.allow, [*course, DATA, OTHER_BASE, "steps"])
    checkpoints = Path(options.out) / CHECKPOINTS
    newest = newest_good(checkpoints) if world.first else None
    name = world.gather(newest.name if newest else "")[0]
    if not name:
        return Start(None, course, State(), [])
    folder = checkpoints / name
    if not all(world.gather(folder.is_dir())):
        raise ConfigError(f"{options.out}: not every machine sees {name} here; `out` must be a shared folder")
    state = read_state(folder)
    before = read_course(state.course, flatten(TrainOptions().course()) | {INIT: ""})
    if before.get(BASE) == options.base.weights:
        before[BASE] = course[BASE]  # a checkpoint of an earlier version has just the name
    return Start(folder, course, state, changes(str(folder), state.step, before, course, options.allow))


def resume(start: Start, trainer: Trainer) -> None:
    """Load the checkpoint to continue from, if there is one."""
    if start.folder is None:
        return
    load(start.folder, trainer)
    trainer.changed = list(start.changed)
    for change in start.changed:
        log.warning("%s: changed on purpose: %s", start.folder, change.words())
    log.info(
        "resuming from %s with %d processes (%d before)", start.folder, trainer.world.size, start.before.world_size
    )


def _base(options: TrainOptions, world: World) -> str:
    """Digest of the base weights, computed once on each machine.

    Raises:
        ConfigError: the machines have different weights.
    """
    mine = weights_identity(options.base) if world.local_rank == 0 else ""
    seen = sorted({one for one in world.gather(mine) if one})
    if len(seen) > 1:
        raise ConfigError(
            f"base.weights {options.base.weights}: the machines have different weights under this name (sha256 "
            f"{', '.join(one[:12] for one in seen)}); copy the same folder to all"
        )
    return f"sha256:{seen[0]}"
