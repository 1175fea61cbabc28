"""Shared by all flows: options from profile and form, and running one stage."""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ParamSpec, TypeVar

from mvideo.flows._engine import Scheduler, open_engine, step
from mvideo.flows._steps import EngineOptions
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Over, merge
from mvideo_core.curation.pipeline import PART_STAGES, PipelineOptions, load_profile
from mvideo_core.engine import STAGES
from mvideo_core.engine.run import StageSummary, count_parts, require_enabled
from mvideo_core.store.workspace import Workspace

P = ParamSpec("P")
T = TypeVar("T")


def resolve(profile: str, overrides: dict[str, Any] | None = None, **stages: dict[str, Any] | None) -> PipelineOptions:
    """Options of a profile, overridden value by value.

    Args:
        overrides: nested values such as {"cut": {"min_shot_s": 4}}.
        stages: values by field name of PipelineOptions, applied last; None = none.

    Raises:
        ConfigError: no such profile, or a value that is not allowed.
    """
    given = {name: values for name, values in stages.items() if values}
    return load_profile(profile, merge(overrides or {}, given))


def with_stage_parameters(function: Callable[P, T]) -> Callable[P, T]:
    """Replace the function's `**stages` by one parameter per stage for its options, so that the form shows them all."""
    signature = inspect.signature(function)
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    named = [one for one in own if one.kind is one.KEYWORD_ONLY]
    added, lines = [], []
    for name in (*PART_STAGES, "shard"):
        stage = STAGES.get(name)
        kind: Any = Annotated[dict[str, Any] | None, Over(stage.options)]
        added.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind))
        lines.append(f"    {name}: {stage.title[0].lower()}{stage.title[1:-1]}; empty values come from the profile.")
    function.__signature__ = signature.replace(parameters=[*own[: len(own) - len(named)], *added, *named])  # type: ignore[attr-defined]
    function.__annotations__ = {
        **{name: kind for name, kind in function.__annotations__.items() if name != "stages"},
        **{one.name: one.annotation for one in added},
    }
    function.__doc__ = "\n".join([inspect.getdoc(function) or "", *lines])
    return function


def finish_stage(
    name: str,
    workspace: str,
    options: PipelineOptions,
    parts: Sequence[int] | None,
    engine: EngineOptions,
) -> StageSummary:
    """Run one part-wise stage from its upstream stages' rows on disk: the body of every stage flow.

    Raises:
        ConfigError: no plan, a part outside it, options that leave the stage out,
            or engine "workers" (a stage run cannot request more stage runs).
    """
    if engine.kind == "workers":
        raise ConfigError(
            f"{name}: a stage deployment runs on engine threads or ray; workers is for build-mask-dataset"
        )
    require_enabled(STAGES.get(name), options.of(name))
    n_parts = count_parts(Workspace(workspace))
    indices = range(n_parts) if parts is None else sorted(set(parts))
    if unknown := [index for index in indices if not 0 <= index < n_parts]:
        raise ConfigError(f"{name}: no parts {unknown}; the plan of {workspace} has parts 0 to {n_parts - 1}")
    with open_engine(engine, options.run.jobs) as running:
        run = Scheduler(running, [step(name, options.of(name))], workspace, list(indices), options.run.max_failed_frac)
        return run.run()[0]
