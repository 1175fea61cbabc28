"""The same work over many items in parallel, each in its own process, which dies with this one."""

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from mvideo_core.processes.launcher import die_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Item], Result], items: Sequence[Item], processes: int = 1
) -> Generator[Result, None, None]:
    """Yields results in the order of the items, each as soon as it and all results before it are ready.

    The cores are divided up: each process gets its share as OMP_NUM_THREADS. An error in a process is raised here, and
        items that were not started are dropped.

    Args:
        work: a module-level function (it is pickled) of one item.
        processes: number in parallel; 1 = in this process, one after another.
    """
    processes = min(processes, len(items))
    if processes <= 1:
        yield from map(work, items)
        return
    threads = max(1, (os.cpu_count() or 1) // processes)
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (os.getpid(), threads)) as pool:
        try:
            yield from pool.map(work, items)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(parent: int, threads: int) -> None:
    die_with_parent(parent)
    os.environ["OMP_NUM_THREADS"] = str(threads)
