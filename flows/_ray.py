"""Lanes over a Ray cluster (extra "ray").

Ray ends a worker process after each GPU task, so that a reused process cannot sit on the wrong device; weights are
then loaded again. One GPU task therefore takes a slice of parts, and loads them once for all of these.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.client.schemas.objects import RunInput
from prefect.futures import PrefectFuture
from prefect_ray import RayTaskRunner
from prefect_ray.context import remote_options

from mvideo.flows._engine import EngineOptions, Resource, Step, even_slice
from mvideo.flows._runners import RunnerLanes


class RayLanes(RunnerLanes):
    """Tasks on Ray with CPU and GPU claims."""

    def __init__(self, runner: RayTaskRunner[Any], slots: dict[Resource, int], engine: EngineOptions):
        super().__init__(runner, slots)
        self.engine = engine

    def slice_parts(self, resource: Resource, n_parts: int) -> int:
        """GPU tasks take slices, CPU tasks single parts."""
        return 1 if resource == "cpu" else even_slice(n_parts, self.slots["gpu"], self.engine.parts_per_run)

    def start(
        self, step: Step, parameters: dict[str, Any], dependencies: dict[str, set[RunInput]]
    ) -> PrefectFuture[Any]:
        """Hand one task to Ray with its claims."""
        claims: dict[str, float] = {"num_cpus": self.engine.ray_cpus_per_task}
        if step.resource == "gpu":
            claims["num_gpus"] = self.engine.ray_gpus_per_task
        with remote_options(**claims):
            return super().start(step, parameters, dependencies)


@contextmanager
def ray_lanes(engine: EngineOptions, slots: dict[Resource, int]) -> Iterator[RayLanes]:
    """Tasks on the cluster at `engine.ray_address`, or on a local Ray that ends with the block."""
    with RayTaskRunner(address=engine.ray_address or None) as runner:
        yield RayLanes(runner, slots, engine)
