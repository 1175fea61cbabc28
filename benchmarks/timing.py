"""Interleaved timing: the workloads take turns, so that a busy machine slows all of them alike.

A ratio is computed within each round, then the median over rounds; smallest and largest are reported next to it. CPU
seconds count this process and the children it has waited for: the cost of a workload when the cores are shared.
"""

import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

Work = Callable[[], object]
Name = TypeVar("Name")


class Took(NamedTuple):
    """Cost of one run of a workload."""

    wall_s: float
    cpu_s: float


class Spread(NamedTuple):
    """Median, smallest and largest of repeated measurements."""

    median: float
    low: float
    high: float

    def round_to(self, digits: int = 3) -> dict[str, float]:
        """As a part of a result."""
        return {name: round(value, digits) for name, value in self._asdict().items()}


def measure_once(work: Work) -> Took:
    """Wall and CPU seconds of one call."""
    cpu_s, start_s = _cpu_s(), time.perf_counter()
    work()
    return Took(time.perf_counter() - start_s, _cpu_s() - cpu_s)


def interleave(works: Mapping[Name, Work], rounds: int, warm_up: bool = True) -> dict[Name, list[Took]]:
    """Run every workload once per round, in alternating order; with `warm_up`, after one uncounted round."""
    if warm_up:
        for work in works.values():
            work()
    took: dict[Name, list[Took]] = {name: [] for name in works}
    for round_no in range(rounds):
        for name in list(works) if round_no % 2 == 0 else reversed(list(works)):
            took[name].append(measure_once(works[name]))
    return took


def spread(values: Sequence[float]) -> Spread:
    """Median, smallest, largest."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """above / below, round by round."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def walls(took: Sequence[Took]) -> list[float]:
    """Wall seconds of each round."""
    return [one.wall_s for one in took]


def cpus(took: Sequence[Took]) -> list[float]:
    """CPU seconds of each round."""
    return [one.cpu_s for one in took]


def _cpu_s() -> float:
    mine, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime
