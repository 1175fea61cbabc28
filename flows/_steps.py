"""What a flow asks of an engine: options, steps and outcomes."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from prefect import Task
from pydantic import Field

from mvideo.tasks.stages import Parts, PartsDone
from mvideo_core.base.options import Options

Resource = Literal["cpu", "gpu"]


class EngineOptions(Options):
    """Which engine runs the tasks, and how many run at a time."""

    kind: Literal["threads", "workers", "ray"] = Field(
        default="threads",
        description="threads: in the flow's process, one GPU. workers: each stage as runs of its deployment, "
        "on as many hosts and GPUs as there are workers. ray: tasks on a Ray cluster.",
    )
    cpu_slots: int = Field(
        default=0, ge=0, le=256, description="CPU tasks (or stage runs) at a time; 0 = run.jobs of the profile."
    )
    gpu_slots: int = Field(
        default=1,
        ge=1,
        le=256,
        description="GPU tasks (or stage runs) at a time: the number of GPUs.",
    )
    parts_per_run: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Parts per stage run (workers) or GPU task (ray), so that weights are loaded once for all of them; "
        "0 = about four runs per slot. Engine threads always processes single parts.",
    )
    ray_address: str = Field(
        default="", description="ray: head of a running cluster, such as ray://head:10001; empty = start Ray here."
    )
    ray_cpus_per_task: float = Field(default=1.0, ge=0, le=1024, description="ray: CPUs that each task claims.")
    ray_gpus_per_task: float = Field(default=1.0, ge=0, le=64, description="ray: GPUs that each GPU task claims.")
    poll_s: float = Field(default=3.0, ge=0.1, le=300, description="workers: seconds between polls of the stage runs.")


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
    """How one submitted job ended; `error` is None if it succeeded. `reused`: parts that were already in the store."""

    job: object
    error: BaseException | None
    reused: int = 0


class Engine(Protocol):
    """A running engine: accepts jobs and reports finished ones. A job is one stage over some parts."""

    slots: dict[Resource, int]

    def slice_parts(self, resource: Resource, n_parts: int) -> int:
        """Number of parts per job."""

    def submit(self, step: Step, parts: Parts, after: Collection[object]) -> object:
        """Start a job. `after`: the (finished) jobs that it builds on."""

    def collect(self, timeout_s: float) -> list[Outcome]:
        """Jobs that ended since the last call; waits up to `timeout_s` for one."""


def slice_evenly(n_parts: int, slots: int, parts_per_run: int) -> int:
    """Parts per job: as configured, otherwise chosen so that each slot gets about four jobs."""
    return parts_per_run or max(1, -(-n_parts // (4 * slots)))
