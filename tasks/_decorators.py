"""Prefect retries a task after a disk or network error, or if the caption server cannot be reached: CPU tasks three
times, GPU tasks twice. Wrong options, missing weights and too many failed items are not retried.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import httpx
from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from mvideo_core.base.errors import ServerUnavailable, StoreError

P = ParamSpec("P")
R = TypeVar("R")

TRANSIENT_ERRORS = (OSError, httpx.TransportError, ServerUnavailable)
"""Errors that a retry may fix: the disk, the network, a server that restarts; also when the store reports them
(StoreError from OSError).

No retry helps with options (ConfigError), media (MediaError), weights (ModelError), a part that another process owns,
or our own bugs. Preemption kills the process, so it is handled by `prefect flow-run retry`, not here.
"""


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """True if the task failed for a reason that may be gone on retry."""
    error = state.result(raise_on_failure=False)
    return isinstance(error.__cause__ if isinstance(error, StoreError) else error, TRANSIENT_ERRORS)


def io_task(function: Callable[P, R]) -> Task[P, R]:
    """A task for the disk, the network or the CPU."""
    return _make_task(function, tags=["cpu"], retries=3, delays_s=[5, 30, 120])


def gpu_task(function: Callable[P, R]) -> Task[P, R]:
    """A task that runs a model. The worker decides which GPU it gets (`CUDA_VISIBLE_DEVICES`)."""
    return _make_task(function, tags=["gpu"], retries=2, delays_s=[10, 60])


def _make_task(function: Callable[P, R], *, tags: list[str], retries: int, delays_s: list[float]) -> Task[P, R]:
    # NO_CACHE: the store decides what is done. Prefect's cache cannot see that an output was deleted or that weights
    # changed, and its lock outlives a kill -9; asking the store for a finished part takes milliseconds.
    # No timeout: Prefect cannot interrupt a task in a thread (it only warns, every time). What can hang - ffmpeg,
    # a captioner's server - has its own limits in the core, and the part's journal keeps what was done.
    decorate: Callable[[Callable[P, R]], Task[P, R]] = task(
        name=function.__name__.replace("_", "-"),
        task_run_name=_run_name(function),
        tags=tags,
        retries=retries,
        retry_delay_seconds=delays_s,
        retry_condition_fn=is_transient,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    return decorate(function)


def _run_name(function: Callable[..., Any]) -> str:
    name = function.__name__.replace("_", "-")
    takes_parts = "parts" in function.__annotations__
    return f"{name} {{parts.label}}" if takes_parts else name
