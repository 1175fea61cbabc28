"""The toy stages as deployments: what build-mask-dataset does, without media and models."""

import time

from prefect import flow

from mvideo.flows._engine import Scheduler, open_engine
from mvideo.flows._steps import EngineOptions, Step
from mvideo_core.engine.run import count_parts
from mvideo_core.store.workspace import Workspace
from tests.flows.toy import ToyOptions, toy_a, toy_b

TASKS = {"toy-a": (toy_a, "source", "cpu"), "toy-b": (toy_b, "toy-a", "gpu")}


def _steps(options: ToyOptions, names: tuple[str, ...] = ("toy-a", "toy-b")) -> list[Step]:
    return [Step(name, TASKS[name][0], options, (TASKS[name][1],), TASKS[name][2]) for name in names]  # type: ignore


def _finish(workspace: str, steps: list[Step], parts: list[int] | None, engine: EngineOptions) -> None:
    indices = range(count_parts(Workspace(workspace))) if parts is None else parts
    with open_engine(engine, jobs=1) as running:
        Scheduler(running, steps, workspace, list(indices), 0.2).run()


@flow(name="toy")
def toy(workspace: str, options: ToyOptions, engine: EngineOptions = EngineOptions()) -> None:
    """Both toy stages."""
    _finish(workspace, _steps(options), None, engine)


@flow(name="toy-a")
def only_a(workspace: str, options: ToyOptions, parts: list[int] | None = None, profile: str = "") -> None:
    """First toy stage."""
    _finish(workspace, _steps(options, ("toy-a",)), parts, EngineOptions())


@flow(name="toy-b")
def only_b(workspace: str, options: ToyOptions, parts: list[int] | None = None, profile: str = "") -> None:
    """Second toy stage."""
    _finish(workspace, _steps(options, ("toy-b",)), parts, EngineOptions())


@flow(name="neighbor")
def neighbor(seconds: float) -> None:
    """A flow of another team."""
    time.sleep(seconds)
