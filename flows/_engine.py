"""Where a flow's tasks run: threads of this process, workers on the queues, or Ray. The flow reads the same for all."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from prefect import Task
from pydantic import Field

from mvideo.tasks._parts import Parts, PartsDone
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options

Resource = Literal["cpu", "gpu"]


class EngineOptions(Options):
    """Which engine runs the tasks, and how much of it at once."""

    kind: Literal["threads", "workers", "ray"] = Field(
        default="threads",
        description="threads: in the flow's own process, one GPU. workers: each stage as runs of its own deployment, "
        "on as many hosts and GPUs as there are workers. ray: tasks on a Ray cluster.",
    )
    cpu_slots: int = Field(
        default=0, ge=0, le=256, description="CPU tasks (or stage runs) under way at once; 0 = run.jobs of the profile."
    )
    gpu_slots: int = Field(
        default=1,
        ge=1,
        le=256,
        description="GPU tasks (or stage runs) under way at once: the number of GPUs.",
    )
    parts_per_run: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Parts that one stage run (workers) or one GPU task (ray) takes, so that weights are loaded once "
        "for all of them; 0 = about four runs per slot. Engine threads always goes part by part.",
    )
    ray_address: str = Field(
        default="", description="ray: head of a running cluster, such as ray://head:10001; empty starts Ray here."
    )
    ray_cpus_per_task: float = Field(default=1.0, ge=0, le=1024, description="ray: CPUs that each task claims.")
    ray_gpus_per_task: float = Field(default=1.0, ge=0, le=64, description="ray: GPUs that each GPU task claims.")
    poll_s: float = Field(default=3.0, ge=0.1, le=300, description="workers: seconds between looks at the stage runs.")


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a flow: its name, task and options, what it waits for, and which kind of slot it needs."""

    name: str
    task: Task[Any, PartsDone]
    options: Options
    reads: tuple[str, ...]
    resource: Resource


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one submitted piece ended; `error` is None when it is done. `reused`: parts that the store already held."""

    ticket: object
    error: BaseException | None
    reused: int = 0


class Lanes(Protocol):
    """An engine in use: takes pieces of work, tells which are finished."""

    slots: dict[Resource, int]

    def slice_parts(self, resource: Resource, n_parts: int) -> int:
        """How many parts one piece of work holds."""

    def submit(self, step: Step, parts: Parts, after: Collection[object]) -> object:
        """Start one piece of work; gives its ticket. `after`: tickets of the (finished) pieces it builds on."""

    def finished(self, timeout_s: float) -> list[Outcome]:
        """Pieces that ended since the last call; waits up to `timeout_s` for one."""


@contextmanager
def open_lanes(engine: EngineOptions, jobs: int) -> Iterator[Lanes]:
    """The engine, started; everything it started is ended with the block.

    Args:
        jobs: CPU parts at once unless `engine.cpu_slots` says otherwise.

    Raises:
        ConfigError: engine "ray" without its extra.
    """
    slots: dict[Resource, int] = {"cpu": engine.cpu_slots or jobs, "gpu": engine.gpu_slots}
    if engine.kind == "workers":
        from mvideo.flows._workers import WorkerLanes

        yield WorkerLanes(engine, slots)
    elif engine.kind == "ray":
        with _ray_lanes(engine, slots) as lanes:
            yield lanes
    else:
        from mvideo.flows._runners import thread_lanes

        with thread_lanes({**slots, "gpu": 1}) as lanes:
            yield lanes


def even_slice(n_parts: int, slots: int, parts_per_run: int) -> int:
    """Parts per piece of work: as asked, else so that each slot gets about four pieces."""
    return parts_per_run or max(1, -(-n_parts // (4 * slots)))


def _ray_lanes(engine: EngineOptions, slots: dict[Resource, int]) -> Any:
    try:
        from mvideo.flows._ray import ray_lanes
    except ImportError as error:
        install = (
            "pip install 'prefect-ray>=0.6,<0.7' 'ray[default]>=2.60,<3'"  # not mvideo[ray]: it brings a full OpenCV
        )
        raise ConfigError(f"engine ray needs packages that are absent ({error.name} is missing): {install}") from None
    return ray_lanes(engine, slots)
