"""Every stage by name, in order: this project's stages, with those that installed packages add in between."""

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points

from mvideo_core.base.errors import ConfigError
from mvideo_core.engine.stage import Stage

TAKEN = ("plan", "run", "source", "samples", "report")
"""Names that stages may not have: fields of profiles, planners and pages."""


class Stages:
    """The stages, imported on first use.

    A package adds one by an entry point; `before` in its `Stage` says where:

        [project.entry-points."mvideo.stages"]
        sharp = "my_package.sharp:STAGE"

    Args:
        package: dotted package with `ORDER`, the names of its modules in the order of the stages; each has a `STAGE`.
        entry_points: group of the other packages' entry points.
    """

    def __init__(self, package: str, entry_points: str):
        self.package, self.group = package, entry_points
        self._in_order: dict[str, Stage] | None = None
        self._registered: dict[str, Stage] = {}

    def register(self, name: str) -> Callable[[Stage], Stage]:
        """Decorator that adds a stage outside the order: it runs only if requested by name."""

        def add(stage: Stage) -> Stage:
            self._registered[name] = stage
            return stage

        return add

    def get(self, name: str) -> Stage:
        """The stage called `name`.

        Raises:
            ConfigError: no such stage; the message lists the known names.
        """
        found = self._registered.get(name) or self._sort().get(name)
        if found is None:
            raise ConfigError(f"no stage called {name!r}; known: {', '.join(self.names())}")
        return found

    def names(self) -> list[str]:
        """Names of all stages, in order."""
        return [*self._sort(), *self._registered]

    def in_order(self) -> Iterator[Stage]:
        """All stages in order, without the stages registered outside it."""
        return iter(self._sort().values())

    def of_parts(self) -> Iterator[Stage]:
        """Stages that run part by part over the plan of the sources, in order."""
        return (stage for stage in self.in_order() if stage.unit != "sample")

    def from_packages(self) -> list[str]:
        """Names of the stages that other packages add."""
        return [stage.name for stage in self.in_order() if stage.before]

    def _sort(self) -> dict[str, Stage]:
        if self._in_order is None:
            package = importlib.import_module(self.package)
            own = [importlib.import_module(f"{self.package}.{name}").STAGE for name in package.ORDER]
            self._in_order = {stage.name: stage for stage in _with_added(own, self.group)}
        return self._in_order


def _with_added(stages: list[Stage], group: str) -> list[Stage]:
    """The stages, with the stages of other packages inserted; the stage after an inserted one also reads it."""
    found = list(stages)
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        stage = _load(point)
        problem = _find_misfit(stage, found)
        if not problem and point.name != stage.name:
            problem = f"its entry point is named {point.name!r}; give both the same name"
        if problem:
            raise ConfigError(f"stage {stage.name!r} of {point.value}: {problem}")
        at = [one.name for one in found].index(stage.before)
        next_stage = dataclasses.replace(found[at], reads=(*found[at].reads, stage.name))
        found[at : at + 1] = [stage, next_stage]
    return found


def _find_misfit(stage: Stage, found: list[Stage]) -> str:
    """Why a stage cannot be inserted where it asks to be; "" if it can."""
    names = [one.name for one in found]
    places = [one.name for one in found if one.unit == "clip"]
    if stage.name in (*names, *TAKEN) or not stage.name.isidentifier():
        return f"the name is taken or not a Python identifier; taken: {', '.join((*names, *TAKEN))}"
    if stage.before not in places:
        return f"before={stage.before!r}; allowed: {', '.join(places)}"
    if stage.unit == "sample":
        return "unit='sample'; allowed before the samples: video, clip"
    earlier = ("source", *names[: names.index(stage.before)])
    if not stage.reads or not set(stage.reads) <= set(earlier):
        return f"reads={stage.reads}; allowed before {stage.before}: {', '.join(earlier)}"
    if owner := next((one.name for one in found if one.row is stage.row), ""):
        return f"row={stage.row.__name__} belongs to stage {owner}; declare a separate row class"
    return ""


def _load(point: EntryPoint) -> Stage:
    try:
        stage = point.load()
    except Exception as error:  # noqa: BLE001 - another package's code may raise anything
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"stage {point.name!r} of {point.value} does not load: {text}; correct or uninstall its package"
        ) from None
    if not isinstance(stage, Stage):
        raise ConfigError(f"stage {point.name!r}: {point.value} is a {type(stage).__name__}, not a Stage")
    return stage
